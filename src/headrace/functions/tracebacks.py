"""What a user is told of an exception in a function: the frames of that code, and no others."""

import linecache
import sys
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final

LIMIT: Final = 2048
"""Most bytes of a traceback that travel with a dead letter."""

_MOST_FRAMES: Final = 16
_OURS: Final = str(Path(__file__).parent)
_INSTALLED: Final = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of the user's code that was being run.

    Attributes:
        shown: The file, relative to the pipeline's folder where it lies inside.
        line: Line number from 1.
        function: The function that the line stands in.
        text: The line.
    """

    shown: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        place = f'  File "{self.shown}", line {self.line}, in {self.function}'
        return f"{place}\n    {self.text}" if self.text else place


@dataclass(frozen=True, slots=True)
class Home:
    """Where a user's code lies.

    Attributes:
        folders: Folders with it; what is shown is relative to the first.
    """

    folders: tuple[str, ...]

    @classmethod
    def of(cls, module: ModuleType, folder: Path) -> "Home":
        """Return the pipeline's folder, and that of the module's package where it is elsewhere."""
        file = getattr(module, "__file__", None)
        package = sys.modules.get(module.__name__.partition(".")[0], module)
        package_file = getattr(package, "__file__", None) or file
        if package_file is None:
            return cls((str(folder),))
        path = Path(package_file).resolve()
        if path.name == "__init__.py":
            return cls((str(folder), str(path.parent)))
        is_ours = path.is_relative_to(folder)
        return cls((str(folder),) if is_ours else (str(folder), str(path)))

    def frames(self, trace: TracebackType | None) -> list[Frame]:
        """Return the last frames of the user's code, outermost first."""
        found: deque[Frame] = deque(maxlen=_MOST_FRAMES)
        for frame, line in traceback.walk_tb(trace):
            name = frame.f_code.co_filename
            if self._holds(name):
                text = linecache.getline(name, line, frame.f_globals).strip()
                found.append(Frame(self.shown(name), line, frame.f_code.co_name, text))
        return list(found)

    def shown(self, file: str) -> str:
        """Return a file as it is shown."""
        path = Path(file)
        first = self.folders[0]
        return str(path.relative_to(first)) if path.is_relative_to(first) else file

    def _holds(self, file: str) -> bool:
        if file.startswith((_OURS, "<frozen")):
            return False
        for folder in self.folders:
            if file == folder or file.startswith(f"{folder.rstrip('/')}/"):
                inside = file[len(folder) :]
                # An environment often lies in the pipeline's folder.
                return not any(f"/{each}/" in inside for each in _INSTALLED)
        return False


def tail(error: BaseException, home: Home) -> str:
    """Return the end of a traceback: the user's frames and the exception, at most `LIMIT` bytes."""
    lines = [str(frame) for frame in home.frames(error.__traceback__)]
    lines += "".join(traceback.format_exception_only(error)).rstrip().splitlines()
    return _last_lines("\n".join(lines))


def last_line(error: BaseException) -> str:
    """Return an exception as the last line of its traceback says it."""
    lines = [line for line in traceback.format_exception_only(error) if line.strip()]
    return lines[-1].strip().splitlines()[0]


def _last_lines(text: str) -> str:
    content = text.encode("utf-8", "backslashreplace")
    if len(content) <= LIMIT:
        return content.decode()
    mark = b"...\n"
    kept = content[len(mark) - LIMIT :]
    whole = kept.partition(b"\n")[2]
    return (mark + (whole or kept)).decode("utf-8", "ignore")
