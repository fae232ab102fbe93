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
from collections.abc import Iterator
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


def imports_alone(name: str) -> bool:
    """Whether the module can be imported in a fork of this process; the fork prints why not."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    try:
        importlib.import_module(name)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> int:
    """Checks all modules; the exit code is 1 if one fails."""
    root = Path(__file__).resolve().parent.parent
    sys.path.insert(0, str(root))
    for name in PRELOADED:
        importlib.import_module(name)
    names = list(modules(root))
    failed = [name for name in names if not imports_alone(name)]
    verdict = f"these cannot be imported alone: {', '.join(failed)}" if failed else "each can be imported alone"
    sys.stdout.write(f"{len(names)} modules: {verdict}.\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
