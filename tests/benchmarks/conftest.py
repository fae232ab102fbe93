"""Makes the programs of `benchmarks/` importable where only the package is installed, which they are no part of."""

import sys
from pathlib import Path

# At the end, so that an installed package stays the one that is tested.
sys.path.append(str(Path(__file__).parents[2]))
