"""The texts of several tasks as one set, each with the number of its task and its label."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.texts import EncodedTexts, Ragged, join
from continual.errors import LearningError
from continual.students.data import check_classification

if TYPE_CHECKING:
    from streams import Task


@dataclass(frozen=True)
class Row:
    """One text.

    Attributes:
        text: The text.
        pair: A second text in tasks on pairs, else None.
        label: The number of its label.
        task: The number of its task.
    """

    text: str
    pair: str | None
    label: int
    task: int


@dataclass(frozen=True)
class Labelled:
    """Tokenised texts of several tasks.

    Attributes:
        texts: The texts.
        labels: Label numbers, [texts].
        tasks: Task numbers, [texts].
    """

    texts: EncodedTexts
    labels: Tensor
    tasks: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each text, [texts]."""
        return self.texts.ids.lengths

    def of_task(self, task: int) -> "Labelled":
        """The texts of one task alone."""
        rows = (self.tasks == task).nonzero()[:, 0]
        types = None if self.texts.types is None else self.texts.types.take(rows)
        texts = EncodedTexts(self.texts.ids.take(rows), types, self.texts.pairs)
        return Labelled(texts, self.labels[rows], self.tasks[rows])


def rows_of(tasks: Sequence["Task"], split: str) -> list[Row]:
    """The texts of a split of all tasks, one task after the other.

    Raises:
        LearningError: There is no task, or one is no classification.
    """
    if not tasks:
        raise LearningError("There is no task to learn from; give a stream with at least one.")
    for task in tasks:
        check_classification(task)
    return [
        Row(row["text"], row.get("text_pair"), row["label"], number)
        for number, task in enumerate(tasks)
        for row in task.split(split)
    ]


def encoded(encoder: Encoder, rows: Sequence[Row]) -> Labelled:
    """The rows as an encoder reads them, in their order."""
    parts, order = [], []
    for with_pair in (False, True):
        places = [place for place, row in enumerate(rows) if (row.pair is not None) == with_pair]
        if places:
            pairs = [rows[place].pair or "" for place in places] if with_pair else None
            parts.append(encoder.tokenize([rows[place].text for place in places], pairs))
            order += places
    back = torch.argsort(torch.tensor(order))
    texts = _joined(parts)
    types = None if texts.types is None else texts.types.take(back)
    return Labelled(
        EncodedTexts(texts.ids.take(back), types, texts.pairs),
        torch.tensor([row.label for row in rows]),
        torch.tensor([row.task for row in rows]),
    )


def by_task(tasks: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The tasks that occur in a batch, each with the places of its texts."""
    for task in tasks.unique().tolist():
        yield task, (tasks == task).nonzero()[:, 0]


def _joined(parts: Sequence[EncodedTexts]) -> EncodedTexts:
    """Single texts and pairs together: a single text is all segment 0."""
    ids = join([part.ids for part in parts])
    if all(part.types is None for part in parts):
        return EncodedTexts(ids, None, any(part.pairs for part in parts))
    types = [part.types or Ragged(torch.zeros_like(part.ids.values), part.ids.offsets) for part in parts]
    return EncodedTexts(ids, join(types), True)
