"""Registries that a test adds to, and that are afterwards what they were."""

import contextlib
from collections.abc import Iterator

from continual.registry import Registry


@contextlib.contextmanager
def restored(*registries: Registry) -> Iterator[None]:
    """What is registered inside is forgotten at the end; installed packages are looked for anew."""
    before = [(registry, dict(registry._entries), registry._looked) for registry in registries]
    try:
        yield
    finally:
        for registry, entries, looked in before:
            registry._entries, registry._looked = entries, looked
