"""Which way a step's function is called."""

from headrace.core.steps import FunctionStep
from headrace.functions.coroutines import CoroutineCaller, InlineCaller
from headrace.functions.loading import load
from headrace.functions.pool import ProcessCaller
from headrace.functions.threads import ThreadCaller
from headrace.ports import FunctionCaller


def caller_of(step: FunctionStep) -> FunctionCaller:
    """Import a step's function and return what calls it.

    Raises:
        ConfigError: The function cannot be found, imported or called with one document.
    """
    function = load(step.function, step.folder)
    kind: type[CoroutineCaller | ProcessCaller | ThreadCaller] = ThreadCaller
    if step.is_process:
        kind = ProcessCaller
    elif function.is_async:
        kind = CoroutineCaller
    return kind(function, step.name, workers=step.workers, timeout_s=step.timeout_s)


def rehearsed(step: FunctionStep) -> FunctionCaller:
    """Return what calls a step's function without threads, processes or real time.

    For virtual time: a function that is no `async def` has no timeout there.

    Raises:
        ConfigError: As `caller_of`.
    """
    function = load(step.function, step.folder)
    if not function.is_async:
        return InlineCaller(function)
    return CoroutineCaller(function, step.name, workers=step.workers, timeout_s=step.timeout_s)
