"""Where a long computation may be stopped in between, however deep it lies below whoever knows that it should.

`Progress.running` says how that is asked, for all that is done within it; passes over many texts ask after each batch.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_asked: ContextVar[Callable[[], None]] = ContextVar("asked", default=lambda: None)


@contextlib.contextmanager
def stopped_by(check: Callable[[], None]) -> Iterator[None]:
    """Meanwhile `may_stop` calls `check`, which raises `Interrupted` where a stop was asked for."""
    token = _asked.set(check)
    try:
        yield
    finally:
        _asked.reset(token)


def may_stop() -> None:
    """Stops here if that was asked for; what the caller has computed so far is lost.

    Raises:
        Interrupted: It was.
    """
    _asked.get()()
