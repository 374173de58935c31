"""What the command line's exit codes mean, and which error leads to which."""

from enum import IntEnum

from headrace.errors import BrokerUnavailableError, ConfigError, InferenceError, SecurityError


class Exit(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    """Everything was done."""
    FAILURE = 1
    """Something failed."""
    USAGE = 2
    """The pipeline file, its login or the arguments are wrong; nothing was started."""
    BROKER = 3
    """No Kafka broker answers."""
    MODEL = 4
    """A model server does not answer."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C before it was done."""


def exit_for(error: BaseException) -> Exit:
    """Return the exit code for an error that ended a verb."""
    match error:
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case ConfigError() | SecurityError():
            return Exit.USAGE
        case BrokerUnavailableError():
            return Exit.BROKER
        case InferenceError():
            return Exit.MODEL
        case _:
            return Exit.FAILURE
