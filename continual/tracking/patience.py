"""How long we wait for a tracking store: not long, whatever it does."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_NOISY_LOGGERS = ("mlflow", "alembic", "urllib3")


def within(seconds: float, action: Callable[[], _Result]) -> _Result:
    """The result of `action`, unless it takes longer than `seconds`.

    It runs on a thread of its own, which is left behind when time is up. Nothing else bounds every kind of
    store: HTTP requests have timeouts, but name look-ups have not, and a database that cannot be reached is
    tried again for minutes inside MLflow.

    Raises:
        TimeoutError: Time is up.
        Exception: Whatever `action` raises.
    """
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["result"] = action()
        except Exception as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, name="tracking", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:g} s")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


@contextlib.contextmanager
def impatient(request_seconds: int) -> Iterator[None]:
    """MLflow's HTTP requests end after `request_seconds` and are repeated once; its log lines are held back.

    MLflow reads this from the environment at each request, by default 120 s and 7 repetitions. The
    environment and the loggers are as before afterwards.
    """
    environment = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(request_seconds),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    }
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    before = {name: os.environ.get(name) for name in environment}
    levels = [logger.level for logger in loggers]
    os.environ.update(environment)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
