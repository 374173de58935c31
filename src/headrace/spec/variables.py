"""Variables of the environment in a pipeline's texts: `${NAME}` and `${NAME:-default}`."""

import re
from collections.abc import Mapping

from headrace.spec.lint import Path, Report, did_you_mean

_VARIABLE = re.compile(
    r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\$\{)"
)


class Variables:
    """Fills variables in; `$${` stands for `${`, and an empty variable takes its default."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report

    def fill(self, text: str, path: Path, line: int) -> str:
        """Return the text with its variables filled in; report those that cannot be."""
        if "${" not in text:
            return text
        return _VARIABLE.sub(lambda match: self._value(match, path, line), text)

    def _value(self, match: re.Match[str], path: Path, line: int) -> str:
        name, default = match["name"], match["default"]
        if match["broken"]:
            hint = "write ${NAME} or ${NAME:-default}; $${ stands for a plain ${"
            self._report.add_at(line, "E004", path, "'${' does not begin a variable", hint)
        if name is None:
            return "${"
        value = self._environ.get(name)
        if value is None and default is None:
            hint = did_you_mean(name, self._environ, f"set it, or write ${{{name}:-default}}")
            self._report.add_at(line, "E003", path, f"variable '{name}' is not set", hint)
            return match[0]
        return value or default or ""
