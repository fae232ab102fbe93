"""What numbers may depend on beside settings and data: versions, and what the processor has computed."""

import os
import platform

from continual import __version__


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
