"""Checks a pipeline with everything that can be said about it on this machine."""

from collections.abc import Iterable, Mapping

from headrace.spec import loader
from headrace.spec.examination import Examiners, Problem, examined
from headrace.spec.loader import Checked


def check(file: str, environ: Mapping[str, str], *, imports: bool) -> Checked:
    """Return a pipeline and every problem in it, those of its conditions included.

    Args:
        file: `FILE.yaml` or `module.py:pipeline`; a module is executed.
        environ: Where variables come from.
        imports: Whether the modules of its functions are imported and checked, too: what only
            looks at a pipeline must not need what they need.
    """
    function = _function if imports else _unseen
    checked = loader.check(file, environ)
    return examined(checked, loader.folder_of(file), Examiners(_condition, function))


def _condition(text: str) -> object:
    from headrace.formats.conditions import compile_condition

    return compile_condition(text)


def _function(step: str, text: str, folder: str) -> Iterable[Problem]:
    from headrace.functions import check_function

    return check_function(step, text, folder)


def _unseen(_step: str, _text: str, _folder: str) -> Iterable[Problem]:
    return ()
