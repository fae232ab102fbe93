"""Errors of the data side. `streams` stands alone, so the base class of all user-facing errors lives here."""


class UserError(Exception):
    """Something the user can put right. The message is one sentence that names the place and the remedy."""


class StreamError(UserError):
    """Data that cannot be used as a stream of tasks: a missing file or column, an empty task, a bad label."""


class ConfigError(UserError):
    """A setting is unknown, of the wrong type or out of range."""
