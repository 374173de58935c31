"""What is wrong with a step's function, before a pipeline is started."""

import ast
import inspect
import textwrap
from dataclasses import dataclass

from headrace.errors import ConfigError
from headrace.functions.loading import Function, load


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a step's function.

    Attributes:
        message: What is wrong; it names the step and the function.
        hint: A way out, empty if the message has it.
        is_error: Whether the pipeline cannot start with it.
    """

    message: str
    hint: str = ""
    is_error: bool = True


def check_function(step_name: str, text: str, folder: str) -> tuple[Problem, ...]:
    """Import a step's function and return what is wrong with it; the user's module runs.

    Args:
        step_name: The step.
        text: `module:callable`.
        folder: The pipeline file's folder.
    """
    try:
        function = load(text, folder)
    except ConfigError as error:
        message, _, hint = str(error).partition("; ")
        return (Problem(f"step {step_name!r}: {message}", hint),)
    if _forgets_to_return(function):
        message = f"step {step_name!r}: {text} never returns anything, which drops every record"
        return (Problem(message, "add `return document`", is_error=False),)
    return ()


def _forgets_to_return(function: Function) -> bool:
    """Whether its source has no `return` with a value; False where there is no source."""
    if not inspect.isfunction(function.target) or hasattr(function.target, "__wrapped__"):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function.target)))
    except (OSError, SyntaxError, TypeError):
        return False
    defined = tree.body[0]
    if not isinstance(defined, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not _returns(defined) and not isinstance(defined.body[-1], ast.Raise)


def _returns(node: ast.AST) -> bool:
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    return any(
        (isinstance(each, ast.Return) and each.value is not None)
        or (not isinstance(each, inner) and _returns(each))
        for each in ast.iter_child_nodes(node)
    )
