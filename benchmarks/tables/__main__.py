"""Writes the tables of README and docs, and their figure, from the JSON files in benchmarks/results.

python -m benchmarks.tables           writes them
python -m benchmarks.tables --check   only tells whether the tables are current
"""

import functools
import sys
from pathlib import Path

from benchmarks.tables import grid, growth, lifelong, methods, performance, rumours, scaling

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAMES = ("comparison", "grid", "growth", "performance", "pretraining", "scaling")
PAGES = [ROOT / "README.md", *(DOCS / f"{name}.md" for name in NAMES)]
FIGURE = DOCS / "figures" / "performance.svg"

TABLES = {
    "pheme": rumours.pheme,
    "transferability": rumours.transferability,
    "methods": methods.overview,
    "winner": methods.winner,
    "caps": methods.caps,
    "search": methods.search,
    **{f"methods-{stream}": functools.partial(methods.table, stream) for stream in methods.STREAMS},
    "grid": grid.table,
    "exactness": growth.exactness,
    "needed": growth.needed,
    "unneeded": growth.unneeded,
    "lifelong": lifelong.table,
    **{name: functools.partial(performance.table, name) for name in ("speed", "peft", "pool", "scaling")},
    "savings": performance.savings,
    "prompts": performance.prompts,
    "profile": performance.profile,
    "recalls": performance.recalls,
    "gpu": performance.gpu,
    "sizes": scaling.sizes,
    "million": scaling.million,
    "billion": scaling.billion,
    "backbone": scaling.backbone,
}
"""What stands between `<!-- results:NAME -->` and `<!-- /results:NAME -->`."""


def filled(text: str) -> str:
    """A page with its tables as the results say."""
    for name, table in TABLES.items():
        start, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
        if start in text:
            before, rest = text.split(start)
            text = f"{before}{start}\n{table()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Writes or checks."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    old = [page.name for page, text in texts.items() if filled(text) != text]
    if "--check" in sys.argv:
        sys.exit(f"{', '.join(old)}: not current; run: python -m benchmarks.tables" if old else 0)
    for page, text in texts.items():
        page.write_text(filled(text), encoding="utf-8")
    performance.draw(FIGURE)


if __name__ == "__main__":
    main()
