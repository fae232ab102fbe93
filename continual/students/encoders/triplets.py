"""Triplets of an anchor, a text that means the same and one that does not."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from continual.backbone.texts import EncodedTexts
from continual.errors import ConfigError
from continual.students.encoders.labelled import Labelled


@dataclass(frozen=True)
class Side:
    """One side of the triplets of a batch.

    Attributes:
        texts: Where the texts are.
        rows: Which of them, [triplets].
    """

    texts: EncodedTexts
    rows: Tensor


class Triplets(Protocol):
    """Triplets by the number of their anchor."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Tensor:
        """Tokens of the anchors, [anchors]."""

    def sides(self, anchors: Tensor, rng: random.Random) -> tuple[Side, Side, Side]:
        """Anchors, positives and negatives of a batch; what is drawn comes from `rng`."""

    def alike(self, sides: tuple[Side, Side, Side]) -> Tensor | None:
        """True where a candidate (positives, then negatives) is no negative of an anchor, [anchors, candidates]."""


class FileTriplets:
    """Triplets as they are given; see `Triplets`.

    Args:
        columns: Anchors, positives and negatives.
    """

    def __init__(self, columns: Sequence[EncodedTexts]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def lengths(self) -> Tensor:
        """See `Triplets.lengths`."""
        return self.columns[0].ids.lengths

    def sides(self, anchors: Tensor, rng: random.Random) -> tuple[Side, Side, Side]:
        """See `Triplets.sides`."""
        first, second, third = (Side(column, anchors) for column in self.columns)
        return first, second, third

    def alike(self, sides: tuple[Side, Side, Side]) -> Tensor | None:
        """See `Triplets.alike`; other lines are taken for other meanings, as in the paper."""
        return None


class LabelTriplets:
    """A text, another of its label, and one of another label of the same task; see `Triplets`.

    A label that only one text has makes that text its own positive.

    Args:
        data: The texts.
        names: Of their tasks, for messages.

    Raises:
        ConfigError: All texts of a task have one label, so that none has a negative.
    """

    def __init__(self, data: Labelled, names: Sequence[str]) -> None:
        self.data = data
        self._rows: dict[tuple[int, int], list[int]] = {}
        for row, key in enumerate(zip(data.tasks.tolist(), data.labels.tolist(), strict=True)):
            self._rows.setdefault(key, []).append(row)
        self._labels: dict[int, list[int]] = {}
        for task, label in self._rows:
            self._labels.setdefault(task, []).append(label)
        lonely = [names[task] for task, labels in self._labels.items() if len(labels) < 2]
        if lonely:
            raise ConfigError(
                f"Only one label occurs in the training texts of {lonely[0]!r}, so no text has a negative; leave it "
                "out with tasks=[...], or give triplets of your own."
            )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def lengths(self) -> Tensor:
        """See `Triplets.lengths`."""
        return self.data.lengths

    def sides(self, anchors: Tensor, rng: random.Random) -> tuple[Side, Side, Side]:
        """See `Triplets.sides`."""
        drawn = [self._draw(row, rng) for row in anchors.tolist()]
        positives, negatives = (torch.tensor(column) for column in zip(*drawn, strict=True))
        return Side(self.data.texts, anchors), Side(self.data.texts, positives), Side(self.data.texts, negatives)

    def alike(self, sides: tuple[Side, Side, Side]) -> Tensor:
        """See `Triplets.alike`."""
        anchors, candidates = sides[0].rows, torch.cat([sides[1].rows, sides[2].rows])
        tasks, labels = self.data.tasks, self.data.labels
        same_task = tasks[anchors][:, None] == tasks[candidates]
        return same_task & (labels[anchors][:, None] == labels[candidates])

    def _draw(self, row: int, rng: random.Random) -> tuple[int, int]:
        task, label = int(self.data.tasks[row]), int(self.data.labels[row])
        own = self._rows[task, label]
        positive = rng.choice(own)
        if positive == row and len(own) > 1:
            positive = own[(own.index(row) + 1 + rng.randrange(len(own) - 1)) % len(own)]
        other = rng.choice([it for it in self._labels[task] if it != label])
        return positive, rng.choice(self._rows[task, other])
