"""Synthetic stance streams in which neither the text nor the target alone tells the stance.

Each issue has two targets at odds (`streams.stance_words`). An opinion that takes the side of one is in favour of it
and against the other; an opinion on another issue, or a remark that takes no side, is neither. So the same text bears
different labels in different tasks, and the two tasks of an issue are opposites of each other.
"""

from __future__ import annotations

import dataclasses
import random
from functools import cached_property
from typing import ClassVar

from streams.errors import StreamError
from streams.options import option, require_choice, require_range
from streams.splits import text_key
from streams.stance import METRIC, STANCES, task_name
from streams.stance_words import CLOSERS, ISSUES, OPENERS
from streams.task import SPLITS, Task

_ATTEMPTS = 1000
_OFF_TOPIC = 0.5
"""Share of the texts without a stance that take a side in another issue; the others take none."""


@dataclasses.dataclass(frozen=True)
class _Target:
    """A target: its words, its issue, and which side of it wants it (0 or 1)."""

    words: str
    issue: str
    side: int


_TARGETS = {
    task_name(words): _Target(words, name, side)
    for name, issue in ISSUES.items()
    for side, words in enumerate(issue.targets)
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedStanceSource:
    """Short texts about targets, each target a task; only text and target together tell the stance.

    Raises:
        StreamError: on construction, if a task is unknown or listed twice, or a number is out of range.
    """

    kind: ClassVar[str] = "stance_simulated"

    name: str = option("stance_simulated", "name of the stream")
    tasks: tuple[str, ...] | None = option(None, "the tasks to use, in order; by default all eight")
    train: int = option(200, "number of training texts of a task")
    dev: int = option(80, "number of development texts of a task")
    test: int = option(200, "number of test texts of a task")
    none: float = option(0.3, "share of texts without a stance")
    favor: float = option(0.5, "share of favor among the texts with a stance")
    split_seed: int = option(0, "seed of the texts")

    def __post_init__(self) -> None:
        where = f"stream {self.name!r}"
        for task in self.task_names:
            require_choice(f"the option 'tasks' of {where}", "task", task, list(_TARGETS))
        if not self.task_names or len(set(self.task_names)) < len(self.task_names):
            raise StreamError(f"Stream {self.name!r} lists no task or one twice; list each once, or leave tasks out.")
        for split in SPLITS:
            require_range(where, split, getattr(self, split), len(STANCES), 1_000_000)
        require_range(where, "none", self.none, 0.01, 0.98)
        require_range(where, "favor", self.favor, 0.01, 0.99)

    @cached_property
    def task_names(self) -> list[str]:
        """Names of the tasks: those chosen with `tasks`, else all there are."""
        return list(_TARGETS if self.tasks is None else self.tasks)

    def load(self, task_name: str) -> Task:
        """Writes the texts of one task; the same seed and parameters always give the same texts."""
        from datasets import Dataset, Features, Value

        require_choice(f"stream {self.name!r}", "task", task_name, self.task_names)
        target = _TARGETS[task_name]
        rng = random.Random(f"{self.split_seed}/{task_name}")
        seen: set[str] = set()
        features = Features({"text": Value("string"), "text_pair": Value("string"), "label": Value("int64")})
        splits = {}
        for split in SPLITS:
            labels = self._draw_labels(getattr(self, split), rng)
            texts = [self._draw_text(target, STANCES[label], rng, seen) for label in labels]
            columns = {"text": texts, "text_pair": [target.words] * len(texts), "label": labels}
            splits[split] = Dataset.from_dict(columns, features=features)
        truth = {"target": target.words, "issue": target.issue, "side": target.side}
        info = {"source": self.kind, "seed": self.split_seed, "truth": truth}
        return Task(name=task_name, labels=STANCES, metric=METRIC, info=info, **splits)

    def _draw_labels(self, count: int, rng: random.Random) -> list[int]:
        """`count` labels in random order with the asked shares, at least one of each."""
        nothing = min(max(round(count * self.none), 1), count - 2)
        favor = min(max(round((count - nothing) * self.favor), 1), count - nothing - 1)
        labels = [0] * favor + [1] * (count - nothing - favor) + [2] * nothing
        rng.shuffle(labels)
        return labels

    def _draw_text(self, target: _Target, stance: str, rng: random.Random, seen: set[str]) -> str:
        """A text that is in no split of the task yet."""
        for _ in range(_ATTEMPTS):
            text = rng.choice(OPENERS) + _statement(target, stance, rng) + "." + rng.choice(CLOSERS)
            text = text[0].upper() + text[1:]
            key = text_key(text)
            if key not in seen:
                seen.add(key)
                return text
        raise StreamError(
            f"Task {task_name(target.words)!r} of stream {self.name!r} asks for more texts with the stance {stance!r} "
            "than its words can form; lower train, dev and test."
        )


def _statement(target: _Target, stance: str, rng: random.Random) -> str:
    """What a text says, without its opener and closer."""
    if stance != "none":
        side = target.side if stance == "favor" else 1 - target.side
        return rng.choice(ISSUES[target.issue].opinions[side])
    if rng.random() < _OFF_TOPIC:
        other = ISSUES[rng.choice([name for name in ISSUES if name != target.issue])]
        return rng.choice(other.opinions[rng.randrange(2)])
    return rng.choice(ISSUES[target.issue].remarks)
