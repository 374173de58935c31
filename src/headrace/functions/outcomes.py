"""What one call of a user's function comes to: a document, nothing, or an error."""

import inspect
from typing import Any, Final, TypeAlias

from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.functions.loading import Function
from headrace.functions.tracebacks import tail

Outcome: TypeAlias = dict[str, Any] | FunctionError | None

_HINTS: Final = {
    list: "put the list in a field of the document and add a `split` step",
    tuple: "put the list in a field of the document and add a `split` step",
    bool: "return the document to keep the record, None to drop it",
}


def outcome(function: Function, document: Any) -> Outcome:
    """Call a function that is no `async def` for one document; nothing it raises gets out."""
    try:
        answer = function.target(document)
    except BaseException as error:  # noqa: BLE001  (SystemExit of a user's must not end a worker)
        return raised(function, error)
    return answer if type(answer) is dict or answer is None else answered(function, answer)


def answered(function: Function, answer: Any) -> Outcome:
    """Judge what a function returned."""
    if answer is None or isinstance(answer, dict):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
        return FunctionError(f"{function.text} returned a coroutine; declare it with `async def`")
    hint = _HINTS.get(type(answer), "return the document, or None to drop the record")
    return FunctionError(f"{function.text} returned a {type(answer).__name__}; {hint}")


def raised(function: Function, error: BaseException) -> FunctionError:
    """Return what a dead letter says of an exception."""
    name = type(error).__name__
    return FunctionError(f"{function.text} raised {name}\n{tail(error, function.home)}")


def timed_out(function: Function, timeout_s: float) -> FunctionTimeoutError:
    """Return what a dead letter says of a call that did not come back."""
    return FunctionTimeoutError(f"{function.text} did not return within {timeout_s:g} s")
