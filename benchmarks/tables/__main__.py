"""Writes the tables of README and docs, and their figure, from the JSON files in benchmarks/results.

python -m benchmarks.tables           writes them
python -m benchmarks.tables --check   only tells whether the tables are current
"""

import sys

from benchmarks.tables import pages


def main() -> None:
    """Writes or checks."""
    if "--check" not in sys.argv:
        pages.write()
        return
    old = pages.stale()
    sys.exit(f"{', '.join(old)}: not current; run: python -m benchmarks.tables" if old else 0)


if __name__ == "__main__":
    main()
