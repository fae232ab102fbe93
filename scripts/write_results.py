"""Writes the result tables of README.md from the JSON files in benchmarks/results.

python scripts/write_results.py           writes them
python scripts/write_results.py --check   only tells whether they are current
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def pheme() -> str:
    """The rumour stream: one row for each method."""
    value = json.loads((RESULTS / "pheme.json").read_text(encoding="utf-8"))
    lines = [
        "| method | accuracy, task told (95 % interval) | not told | forgetting | two small events | minutes |",
        "|---|---|---|---|---|---|",
    ]
    for method, mean in value["means"].items():
        _, low, high, _ = mean["aware_interval"]
        small = (mean["tasks"]["gurlitt"] + mean["tasks"]["putinmissing"]) / 2
        lines.append(
            f"| `{method}` | {mean['aware']:.3f} ({low:.3f} to {high:.3f}) | {mean['routed']:.3f} "
            f"| {mean['forgetting']:.3f} | {small:.3f} | {mean['seconds'] / 60:.1f} |"
        )
    methods = ",".join(value["means"])
    lines += ["", f"`CONTINUAL_DATA=... python -m benchmarks.pheme --methods {methods}`, "]
    lines[-1] += "[result](benchmarks/results/pheme.json), [what limits it](docs/pheme.md)."
    return "\n".join(lines)


def transferability() -> str:
    """The metrics against the truth: one row for each."""
    value = json.loads((RESULTS / "transferability.json").read_text(encoding="utf-8"))
    lines = ["| metric | known similarity | its absolute value |", "|---|---|---|"]
    for name, mean in value["mean"].items():
        lines.append(f"| `{name}` | {mean['signed']:+.2f} | {mean['absolute']:+.2f} |")
    lines += ["", "`python -m benchmarks.transferability`, [result](benchmarks/results/transferability.json)."]
    return "\n".join(lines)


def filled(text: str) -> str:
    """README with its tables as the results say."""
    for name, table in (("pheme", pheme), ("transferability", transferability)):
        start, end = f"<!-- results:{name} -->", f"<!-- /results:{name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Writes or checks."""
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = filled(before)
    if "--check" in sys.argv:
        sys.exit(0 if before == after else "README.md is not current; run: python scripts/write_results.py")
    readme.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
