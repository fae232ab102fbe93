"""Makes `transformers` importable where a CPU build of torch meets the registry's CUDA build of torchvision.

avalanche-lib needs torchvision, whose compiled operators are linked against CUDA. Beside a CPU-only torch they
cannot be loaded; torchvision then fails at import with "operator torchvision::nms does not exist", because it
attaches fake kernels to two operators that were never declared, and `transformers`, which imports torchvision
where it is installed, fails with it. Declaring the two operators first cures both. No image is ever processed here.
"""

import contextlib
import ctypes
import importlib.util
import sys
from functools import cache
from pathlib import Path

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def declare_missing_operators() -> bool:
    """Declares torchvision's operators if importing torchvision would fail without; tells whether it did.

    Call it before the first import of torchvision or of a `transformers` model class. It costs a file look-up and
    one attempt to load a shared library, and does nothing where torchvision is absent, imported or sound.
    """
    if "torchvision" in sys.modules:
        return False
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operators_load(Path(spec.origin).parent):
        return False
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    # A Library object withdraws its declarations when it is collected, so it is kept for the life of the process.
    declare_missing_operators.library = library  # type: ignore[attr-defined]
    return True


def _operators_load(folder: Path) -> bool:
    """Whether torchvision's compiled operators can be loaded beside the installed torch."""
    import torch  # noqa: F401  (its shared libraries must be in the process before the extension's)

    for file in sorted(folder.glob("_C*.so")):
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(file))
            return True
    return False
