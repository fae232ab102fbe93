"""The examples run and do what their texts say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

MINIMAL = Path(__file__).resolve().parent.parent / "examples" / "minimal.py"

_SMALL = "import minimal; minimal.TRAIN, minimal.TEST, minimal.STEPS = 24, 20, 3; minimal.main()"
_SMALL_AVALANCHE = """
import avalanche_script as script
script.TASKS, script.TRAIN, script.DEV, script.TEST = ["kitchen", "office"], 24, 12, 20
script.TRAINING = script.TrainingConfig(epochs=1, min_steps=0)
script.main()
"""


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=MINIMAL.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def averages(printed: str) -> list[tuple[float, float]]:
    """Average and forgetting of each matrix."""
    found = re.findall(r"average (\S+), forgetting (\S+)", printed)
    return [(float(average), float(forgetting)) for average, forgetting in found]


def test_minimal_is_short_and_stands_alone() -> None:
    text = MINIMAL.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    assert not re.search(r"^\s*(from|import) (continual|streams)\b", text, re.MULTILINE)


def test_minimal_runs() -> None:
    printed = run("-c", _SMALL)
    assert printed.count("the most transferable prompt is that of") == 3
    (_, forgetting), _ = averages(printed)
    assert forgetting == 0


@pytest.mark.slow
def test_minimal_learns_and_forgets_nothing() -> None:
    (told, forgetting), (not_told, _) = averages(run("minimal.py"))
    assert told > 0.85
    assert forgetting == 0
    assert not_told > told - 0.02


def test_the_pool_runs_in_an_avalanche_script() -> None:
    first, second, summary = run("-c", _SMALL_AVALANCHE).splitlines()
    assert re.fullmatch(r"after kitchen: accuracy on every task \d\.\d{3}, \d\.\d{3}", first)
    assert second.startswith("after office: ")
    accuracy, forgetting = (float(number) for number in re.findall(r"[-\d.]+\d", summary))
    assert accuracy > 0.5
    assert forgetting <= 0.1
