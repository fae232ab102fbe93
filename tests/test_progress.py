"""What is told of a long training where there is no terminal for bars."""

import io

import pytest
from rich.console import Console

import continual.progress as progress
from continual.tracking.tracker import NullTracker


@pytest.fixture
def told(monkeypatch):
    """Seconds that pass, what was written, and a watcher."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    written = io.StringIO()
    shown = progress.Progress(Console(file=written))
    return now, written, shown, shown.watcher("kitchen", NullTracker())


def test_a_long_training_breaks_its_silence(told):
    now, written, _, watcher = told
    watcher.started("growth", 240)
    for number in range(1, 6):
        now[0] += 9.0
        watcher.step("growth", number, 0.5)
    assert written.getvalue().splitlines() == ["kitchen: growth, step 3 of 240"]
    now[0] += 20.0
    watcher.started("prompt", None)
    assert written.getvalue().splitlines()[1:] == ["kitchen: prompt"]


def test_a_training_that_says_something_itself_is_left_alone(told):
    now, written, shown, watcher = told
    watcher.started("01-news", 10)
    for number in range(1, 6):
        now[0] += 9.0
        shown.say("loss")
        watcher.step("01-news", number, 0.5)
    assert written.getvalue().splitlines() == ["loss"] * 5


def test_names_that_look_like_markup_are_shown_as_they_are(told):
    _, written, shown, _ = told
    shown.task_done("[neg] a[/b]", {"task/accuracy": 0.5, "task/seconds": 2.0})
    assert written.getvalue().startswith("learned [neg] a[/b] in 2 s: accuracy ")
