"""What numbers may depend on beside settings and data: versions, threads, and what the processor has computed."""

import contextlib
import os
import platform
from collections.abc import Iterator

from continual import __version__


@contextlib.contextmanager
def computing_with(threads: int | None) -> Iterator[None]:
    """Meanwhile torch computes with so many threads; None leaves its choice."""
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def processor_seconds() -> float:
    """What all threads of this process and its finished children have computed so far, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def versions() -> dict[str, str | None]:
    """The versions that numbers may depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str | None] = {"continual": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "datasets", "faiss-cpu", "mlflow", "numpy", "avalanche-lib", "peft"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
