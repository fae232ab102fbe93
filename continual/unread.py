"""Settings that a method does not read: with one of them, a run would be taken for an experiment that it is not."""

from collections.abc import Iterable

from continual.errors import ConfigError

ALWAYS = ("experiment", "stream", "backbone", "method", "seed", "threads", "cache_mb", "tracking", "growth", "plugins")
"""Sections that are nobody's own, that refuse what they do not know, or that decide no result."""

BUDGET = ("training.epochs", "training.min_steps", "training.batch_size", "training.patience")
"""How much training is allowed at most: may be said to every method of a comparison, also to one that needs none."""


def check_read(method: str, overrides: Iterable[str]) -> None:
    """Refuses settings that the user gives and the method does not read.

    What a YAML file says is not asked: the resolved configuration of a run names every setting.

    Args:
        method: Its name.
        overrides: What the user gives, as `key=value`.

    Raises:
        ConfigError: One of them would change nothing, or there is no such method.
    """
    for override in overrides:
        key = bare(override)
        if not reads(method, key):
            raise ConfigError(
                f"method={method} does not read {key}, which would change nothing; {_advice(method, key)}."
            )


def bare(override: str) -> str:
    """The key of an override such as `+stream.path=FILE`, without what Hydra takes before it."""
    return override.partition("=")[0].lstrip("+~")


def reads(method: str, key: str, varied: bool = False) -> bool:
    """Whether a setting can change what a method learns or answers.

    Args:
        method: Its name.
        key: The setting, or a section, by dotted names.
        varied: Whether it is to take several values; a budget that is never spent makes no difference then.

    Raises:
        ConfigError: There is no such method.
    """
    from continual.participant import method_registry

    read = method_registry(method).load(method).reads
    return any(_covers(it, key) for it in (*ALWAYS, *read, *(() if varied else BUDGET)))


def _covers(read: str, key: str) -> bool:
    return key == read or key.startswith(f"{read}.") or read.startswith(f"{key}.")


def _advice(method: str, key: str) -> str:
    """What to do instead: the method may have an option of that name."""
    from inspect import signature

    from continual.participant import method_registry

    last = key.rsplit(".", 1)[-1]
    options = signature(method_registry(method).load(method)).parameters
    return f"give method.{last}, or leave it out" if last in options else "leave it out"
