"""Demonstrations and a query as the tokens of one text.

    text | between | label | separator | text | between | label | separator | ... | query | between |

and what comes next is the query's label. `between` is the backbone's own.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from continual.backbone.causal import Causal
from continual.backbone.texts import Ragged
from continual.errors import ConfigError
from continual.limits import at_least
from continual.pretraining.optimisation import setting

if TYPE_CHECKING:
    from datasets import Dataset

    from streams import Task

Ids = list[int]


@dataclass(frozen=True)
class ContextConfig:
    """How a context is written."""

    demonstrations: int = setting(4, "examples with their labels in front of a query")
    shots: int = setting(8, "examples of each label that a task has where examples are few")
    text_tokens: int = setting(48, "texts are cut after so many tokens")
    separator: str = setting("\n\n", "what stands between two examples")

    def __post_init__(self) -> None:
        at_least(0, self.demonstrations, "context.demonstrations")
        for name in ("shots", "text_tokens"):
            at_least(1, getattr(self, name), f"context.{name}")


@dataclass(frozen=True)
class Written:
    """Examples of one task as tokens.

    Attributes:
        name: Of the task.
        queries: Each text with `between` behind it.
        labels: The number of each one's label.
        words: The tokens of each label.
    """

    name: str
    queries: list[Ids]
    labels: list[int]
    words: list[Ids]

    def take(self, rows: Sequence[int]) -> "Written":
        """Some of the examples."""
        return Written(self.name, [self.queries[row] for row in rows], [self.labels[row] for row in rows], self.words)

    def shots(self, count: int, rng: random.Random) -> "Written":
        """`count` examples of each label (fewer where there are fewer), drawn at random."""
        rows: list[int] = []
        for label in range(len(self.words)):
            own = [row for row, it in enumerate(self.labels) if it == label]
            rows += rng.sample(own, min(count, len(own)))
        return self.take(sorted(rows))


class Writer:
    """Writes contexts for a causal model.

    Args:
        model: Whose tokenizer and `between` are used.
        config: How contexts are written.
    """

    def __init__(self, model: Causal, config: ContextConfig) -> None:
        self.tokenizer, self.positions, self.config = model.tokenizer, model.positions, config
        self.between = model.between
        self.front: Ids = self.tokenizer("")["input_ids"]  # of families whose texts begin with a token of their own

    @cached_property
    def _marks(self) -> tuple[Ids, Ids]:
        return self._tokens(self.between), self._tokens(self.config.separator)

    def written(self, task: "Task", split: "Dataset") -> Written:
        """The examples of a split.

        Raises:
            ConfigError: A context of them may be longer than the model has positions.
        """
        between, _ = self._marks
        texts = split["text"][:]
        if "text_pair" in split.column_names:
            texts = [f"{one}{self.between}{other}" for one, other in zip(texts, split["text_pair"][:], strict=True)]
        queries = [[*self._tokens(text)[: self.config.text_tokens], *between] for text in texts]
        words = [self._tokens(label.replace("_", " ")) for label in task.labels]
        self._check_room(task.name, max(map(len, words)))
        return Written(task.name, queries, split["label"][:], words)

    def context(self, query: Ids, given: Written, rows: Sequence[int]) -> Ids:
        """A query behind demonstrations.

        Args:
            query: As in `Written.queries`.
            given: Where the demonstrations are.
            rows: Which of them, in this order.
        """
        _, separator = self._marks
        ids = list(self.front)
        for row in rows:
            ids += [*given.queries[row], *given.words[given.labels[row]], *separator]
        return ids + query

    def draw(self, given: Written, rng: random.Random, query: int | None = None) -> list[int]:
        """The rows of demonstrations drawn from `given`, without the row `query`."""
        rows = [row for row in range(len(given.queries)) if row != query]
        return rng.sample(rows, min(self.config.demonstrations, len(rows)))

    def longest(self, label: int) -> int:
        """Tokens of the longest context with its label, where labels have `label` tokens at most."""
        between, separator = self._marks
        example = self.config.text_tokens + len(between) + label
        return (
            len(self.front) + (self.config.demonstrations + 1) * example + self.config.demonstrations * len(separator)
        )

    def _check_room(self, task: str, label: int) -> None:
        longest = self.longest(label)
        if longest > self.positions:
            raise ConfigError(
                f"{self.config.demonstrations} demonstrations and a query of task {task!r} may have {longest} tokens, "
                f"but the model has {self.positions} positions; lower context.demonstrations or context.text_tokens."
            )

    def _tokens(self, text: str) -> Ids:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def ragged(rows: Sequence[Ids]) -> Ragged:
    """Rows of tokens end to end."""
    return Ragged.from_lists(rows)
