"""Imports every module of the project alone: none may work only because another was imported before it.

Run it as `python scripts/check_imports.py`. A process for each module would spend minutes on importing torch over and
over. So the large libraries are imported once, and each module then in a fork of this process, where nothing of the
project is loaded yet.
"""

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGES = ("continual", "streams")
PRELOADED = (
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "torch",
    "safetensors.torch",
    "datasets",
    "rich.progress",
    # What Avalanche spends most of its import on.
    "torch._dynamo.utils",
    "scipy.signal",
    "matplotlib.pyplot",
)


def modules(root: Path) -> Iterator[str]:
    """The names of all modules of the packages below `root`, found without importing any."""
    for package in PACKAGES:
        yield package
        folders = [path for path in (root / package).rglob("*") if path.is_dir() and (path / "__init__.py").exists()]
        for folder in [root / package, *sorted(folders)]:
            prefix = ".".join(folder.relative_to(root).parts) + "."
            yield from (module.name for module in pkgutil.iter_modules([str(folder)], prefix))


def import_in_a_fork(name: str) -> int:
    """Starts a fork of this process that imports the module, and prints why if it cannot; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        importlib.import_module(name)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def not_alone(names: Iterable[str]) -> list[str]:
    """Those modules that cannot be imported in a fork of this process, of which as many run as there are processors."""
    waiting, running, failed = list(names)[::-1], {}, []
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            name = waiting.pop()
            running[import_in_a_fork(name)] = name
        child, status = os.wait()
        name = running.pop(child)
        if os.waitstatus_to_exitcode(status):
            failed.append(name)
    return sorted(failed)


def main() -> int:
    """Checks all modules; the exit code is 1 if one fails."""
    root = Path(__file__).resolve().parent.parent
    sys.path.insert(0, str(root))
    for name in PRELOADED:
        importlib.import_module(name)
    names = list(modules(root))
    failed = not_alone(names)
    verdict = f"these cannot be imported alone: {', '.join(failed)}" if failed else "each can be imported alone"
    sys.stdout.write(f"{len(names)} modules: {verdict}.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
