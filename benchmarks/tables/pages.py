"""The pages of README and docs that show results, and their tables and figure."""

import functools
from pathlib import Path

from benchmarks.tables import (
    grid,
    growth,
    lifelong,
    methods,
    performance,
    routing,
    rumours,
    scaling,
    students,
    translation,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NAMES = (
    *("comparison", "grid", "growth", "methods", "performance", "pheme", "pretraining", "scaling", "students"),
    "translation",
)
PAGES = [ROOT / "README.md", *(DOCS / f"{name}.md" for name in NAMES)]
FIGURE = DOCS / "figures" / "performance.svg"

TABLES = {
    "pheme": rumours.pheme,
    "stance": rumours.stance,
    "transferability": rumours.transferability,
    "methods": methods.overview,
    "winner": methods.winner,
    "caps": methods.caps,
    "search": methods.search,
    **{f"methods-{stream}": functools.partial(methods.table, stream) for stream in methods.STREAMS},
    "grid": grid.table,
    "routing": routing.table,
    "exactness": growth.exactness,
    "needed": growth.needed,
    "unneeded": growth.unneeded,
    "lifelong": lifelong.table,
    **{name: functools.partial(translation.table, name) for name in ("mt6-translation-base", "mt6-flan-t5-small")},
    "ckd": students.ckd,
    "students": students.smaller,
    "students-causal": students.in_context,
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


def write() -> None:
    """Writes all tables and the figure."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    performance.draw(FIGURE)


def stale() -> list[str]:
    """Names of the pages whose tables are not those of the results."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    return [page.name for page, text in texts.items() if filled(text) != text]
