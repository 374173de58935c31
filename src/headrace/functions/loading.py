"""`module:callable` becomes something that can be called, or words that say why it cannot."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from headrace.errors import ConfigError
from headrace.functions.tracebacks import Home, last_line


@dataclass(frozen=True, slots=True)
class Function:
    """A user's function that may be called.

    Attributes:
        text: What the pipeline file calls it, `module:callable`.
        folder: Where its module was looked for first.
        target: What is called with a document.
        is_async: Whether it is an `async def`.
        home: Where the user's code lies.
    """

    text: str
    folder: str
    target: Callable[[Any], Any]
    is_async: bool
    home: Home


def load(text: str, folder: str) -> Function:
    """Import a function's module, with `folder` first on the path meanwhile, and look at it.

    Args:
        text: `module:callable`; the callable may be an attribute of an attribute.
        folder: The pipeline file's folder; empty for the working directory.

    Raises:
        ConfigError: It cannot be found, imported or called with one document.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        module_name, _, name = text.rpartition(".")
        hint = f"did you mean '{module_name}:{name}'?" if module_name and not colon else "see docs"
        hint = hint if hint != "see docs" else "as in rules:drop_impossible"
        raise ConfigError(f"function {text!r} is not written as module:callable; {hint}")
    place = Path(folder or ".").resolve()
    module = _imported(text, module_name, place)
    target = _found(text, module, name)
    _check(text, target)
    return Function(text, str(place), target, _is_async(target), Home.of(module, place))


def _imported(text: str, name: str, folder: Path) -> ModuleType:
    with _first_on_path(folder):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigError(_not_found(text, name, folder)) from None
            raise ConfigError(_not_imported(text, name, folder, error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (a module may raise anything)
            raise ConfigError(_not_imported(text, name, folder, error)) from None
    _check_place(text, module, name, folder)
    return module


@contextmanager
def _first_on_path(folder: Path) -> Iterator[None]:
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        # The module may have changed the path itself.
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _not_found(text: str, name: str, folder: Path) -> str:
    if name.endswith(".py") or (folder / name).suffix == ".py":
        return f"function {text!r}: leave out '.py', a module is meant"
    *packages, last = name.split(".")
    place = folder.joinpath(*packages)
    hint = _closest(last, _modules(place if place.is_dir() else folder))
    said = f"function {text!r}: there is no module '{name}' in {folder}, nor is one installed"
    return f"{said}; {hint}" if hint else said


def _modules(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    return files + [path.parent.name for path in folder.glob("*/__init__.py")]


def _not_imported(text: str, name: str, folder: Path, error: BaseException) -> str:
    home = Home((str(folder),))
    place = next(
        (f" ({frame.shown}:{frame.line})" for frame in reversed(home.frames(error.__traceback__))),
        "",
    )
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({home.shown(error.filename)}:{error.lineno})"
    return f"function {text!r}: module '{name}' cannot be imported: {last_line(error)}{place}"


def _check_place(text: str, module: ModuleType, name: str, folder: Path) -> None:
    """Refuse a module of the same name from elsewhere: Python knows only one."""
    path = folder.joinpath(*name.split("."))
    ours = [each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()]
    file = getattr(module, "__file__", None)
    if ours and not (file and Path(file).resolve() in ours):
        other = file or "Python itself"
        raise ConfigError(
            f"function {text!r}: {ours[0]} is hidden by a module of the same name that is"
            f" loaded already, from {other}; give yours another name"
        )


def _found(text: str, module: ModuleType, name: str) -> Any:
    target: Any = module
    for part in name.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            known = [each for each in dir(target) if not each.startswith("_")]
            hint = _closest(part, known) or _listing(target)
            raise ConfigError(
                f"function {text!r}: module '{module.__name__}' has no '{name}'; {hint}"
            ) from None
    return target


def _listing(owner: Any) -> str:
    functions = [
        name
        for name, each in vars(owner).items()
        if inspect.isfunction(each)
        and each.__module__ == getattr(owner, "__name__", "")
        and not name.startswith("_")
    ]
    return f"it has {', '.join(functions[:10])}" if functions else "it defines no function"


def _check(text: str, target: Any) -> None:
    if why := _refusal(target):
        raise ConfigError(f"function {text!r} {why}")


def _refusal(target: Any) -> str:
    """Return why this is no function for a step, empty if it is one."""
    name = getattr(target, "__qualname__", "")
    if not callable(target):
        return f"is {_a(type(target).__name__)}, which cannot be called; name a function"
    if inspect.isclass(target):
        return "is a class; name a function, or an object of it that has `__call__`"
    if name.endswith("<lambda>"):
        return "is a lambda; write it with `def`, a traceback then has a name for it"
    if "<locals>" in name:
        return (
            "is defined inside another function; move it to the top of its module"
            " (a decorator keeps it there with functools.wraps)"
        )
    if inspect.isgeneratorfunction(_called(target)) or inspect.isasyncgenfunction(_called(target)):
        return (
            "yields; return one document, and for many put a list in a field of it"
            " and add a `split` step"
        )
    return _wrong_parameters(target)


def _wrong_parameters(target: Any) -> str:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):  # written in C, and silent about it
        return ""
    try:
        signature.bind(None)
    except TypeError:
        required = [
            each.name
            for each in signature.parameters.values()
            if each.default is each.empty
            and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        ]
        takes = f"requires {', '.join(required)}" if required else "takes no parameter"
        return f"{takes}; it is called with one argument, the document"
    return ""


def _called(target: Any) -> Any:
    """Return the function behind an object with `__call__`."""
    while hasattr(target, "func") and hasattr(target, "keywords"):  # functools.partial
        target = target.func
    is_plain = inspect.isroutine(target) or not hasattr(type(target), "__call__")  # noqa: B004
    return target if is_plain else type(target).__call__


def _is_async(target: Any) -> bool:
    return inspect.iscoroutinefunction(_called(target))


def _closest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"did you mean '{near[0]}'?" if near else ""


def _a(name: str) -> str:
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"
