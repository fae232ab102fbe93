"""The errors that are meant for the person at the keyboard.

Every message is one sentence that says what was expected, what was found and what to do next. The command
line prints the message alone and exits with code 2; anything else that is raised is a defect of this program.
"""

from streams.errors import ConfigError, StreamError, UserError

__all__ = [
    "BackboneError",
    "ConfigError",
    "Interrupted",
    "LearningError",
    "PoolError",
    "RunError",
    "StorageError",
    "StreamError",
    "UserError",
]


class BackboneError(UserError):
    """A pretrained model is missing, altered, or cannot do what was asked of it."""


class PoolError(UserError):
    """A prompt pool is corrupt, foreign, newer than this program, or lacks a prompt."""


class LearningError(UserError):
    """A task cannot be learned as asked."""


class RunError(UserError):
    """A run folder is missing, busy, damaged or in the wrong state for the command."""


class StorageError(UserError):
    """The disk refused a write: it is full, read-only or gone."""


class Interrupted(UserError):
    """The user asked to stop; everything finished so far is on disk."""
