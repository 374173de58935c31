"""Writes the files that `headrace init` starts a pipeline with."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from headrace.errors import ConfigError

TEMPLATE = Path(__file__).parent / "template"
_NAMED = 5


def write_template(folder: Path) -> Sequence[Path]:
    """Copy the template into a new or empty folder and return the files written.

    Raises:
        ConfigError: The folder holds something, or cannot be written to.
    """
    held = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    if held:
        more = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
        raise ConfigError(
            f"folder {str(folder)!r} is not empty, and nothing in it was touched: it holds "
            f"{', '.join(held[:_NAMED])}{more}; name a new folder: headrace init NAME"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
    except (OSError, shutil.Error) as error:
        raise ConfigError(
            f"folder {str(folder)!r} cannot be written to; name another: headrace init NAME"
        ) from error
    return sorted(
        folder / each.relative_to(TEMPLATE)
        for each in TEMPLATE.rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    )
