"""Import this before anything of Avalanche: it makes torchvision importable and keeps the import silent.

Avalanche imports torchvision, which cannot be imported beside every build of torch (see `continual/_torchvision.py`),
and one of its dependencies complains of solvers that nothing here needs.
"""

import contextlib
import warnings
from collections.abc import Iterator

from continual._torchvision import declare_missing_operators

declare_missing_operators()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import avalanche.training.plugins  # noqa: F401


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back Avalanche's warnings, of loggers that are not wanted and of its own parts to be renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"avalanche\.")
        yield
