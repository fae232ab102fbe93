"""The stream as an Avalanche benchmark: tokenised texts, with the labels and the task that Avalanche asks for."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

import continual.baselines._avalanche  # noqa: F401  (before the first import of Avalanche)

# isort: split

from avalanche.benchmarks import CLScenario, DatasetExperience, EagerCLStream, with_classes_timeline, with_task_labels
from avalanche.benchmarks.utils import ConstantSequence, DataAttribute, TaskLabels
from avalanche.benchmarks.utils.classification_dataset import TaskAwareSupervisedClassificationDataset

from continual.backbone.encoder import Encoder
from continual.backbone.texts import EncodedTexts, Ragged
from continual.errors import LearningError
from continual.views import texts_of

if TYPE_CHECKING:
    from streams import StreamManager, Task

SPLITS = ("train", "dev", "test")

TOKEN, REAL, SEGMENT = 0, 1, 2
"""The columns of a token: its id, 1 where it is real and 0 where it is padding, its segment."""


class Units:
    """Which output stands for which label: the same name is the same unit, numbered as names first appear.

    Args:
        stream: The tasks, in order.
    """

    def __init__(self, stream: "StreamManager") -> None:
        self._stream = stream
        self._numbers: dict[str, int] = {}
        self._ends: list[int] = []

    def known(self, learned: int) -> dict[str, int]:
        """The unit of every label name that occurs in the first `learned` tasks."""
        for name in self._stream.names[len(self._ends) : learned]:
            for label in self._stream.task(name).labels:
                self._numbers.setdefault(label, len(self._numbers))
            self._ends.append(len(self._numbers))
        count = self._ends[learned - 1] if learned else 0
        return {label: unit for label, unit in self._numbers.items() if unit < count}


class TokenisedTexts(Dataset):
    """Texts as Avalanche wants them: `(tokens, unit)`, with the tokens of a text as int64 [length, 3].

    Args:
        texts: The texts.
        targets: The unit of each one's label.
    """

    def __init__(self, texts: EncodedTexts, targets: Sequence[int]) -> None:
        self.texts = texts
        self.targets = list(targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        start, end = (int(place) for place in self.texts.ids.offsets[row : row + 2])
        ids = self.texts.ids.values[start:end]
        types = torch.zeros_like(ids) if self.texts.types is None else self.texts.types.values[start:end]
        return torch.stack([ids, torch.ones_like(ids), types], dim=1), self.targets[row]


class PadTokens:
    """Makes a batch of examples `(tokens, unit, task)`: tokens int64 [batch, longest, 3], units and tasks [batch].

    Args:
        pad: The id that fills up short texts.
    """

    def __init__(self, pad: int) -> None:
        self._filler = torch.tensor([pad, 0, 0])

    def __call__(self, examples: Sequence[Sequence]) -> list[Tensor]:
        """The batch of some examples."""
        tokens = [example[0] for example in examples]
        batch = self._filler.repeat(len(tokens), max(map(len, tokens)), 1)
        for row, text in enumerate(tokens):
            batch[row, : len(text)] = text
        return [batch, *(torch.tensor(column) for column in list(zip(*examples, strict=True))[1:])]


def avalanche_benchmark(stream: "StreamManager", encoder: Encoder, task_labels: bool = True) -> CLScenario:
    """The stream with its streams `train`, `dev` and `test`, one experience for each task, in order.

    A batch is `[tokens, targets, tasks]`: tokens int64 [batch, longest, 3] with the columns `TOKEN`, `REAL` and
    `SEGMENT`, the targets numbered as label names first appear in the stream, tasks by their place. Every experience
    has the Avalanche attributes of classes (`classes_in_this_experience`, ...) and tasks, as `text_task` the
    `streams.Task` that it was made from, and as `units` the target of each of its labels.

    Args:
        stream: The tasks.
        encoder: Whose tokenizer is used.
        task_labels: Whether each task has a label of its own. Without, all have the label 0, which is what strategies
            that are not told the task need: with labels of their own, Avalanche draws as many texts of every task into
            a batch, and its LwF distils the labels of the first task only.

    Raises:
        LearningError: A task is no classification.
    """
    units = Units(stream)
    streams = []
    for split in SPLITS:
        experiences = []
        for place, name in enumerate(stream.names):
            task = stream.task(name)
            known = units.known(place + 1)
            dataset = split_dataset(task, split, encoder, known, place if task_labels else 0)
            experience = DatasetExperience(dataset=dataset, current_experience=place)
            experience.text_task, experience.units = task, {label: known[label] for label in task.labels}
            experiences.append(experience)
        streams.append(EagerCLStream(split, experiences))
    return with_task_labels(with_classes_timeline(CLScenario(streams)))


def experiences_of(datasets: Sequence[TaskAwareSupervisedClassificationDataset]) -> list[DatasetExperience]:
    """Datasets as the experiences of a stream to be trained on."""
    made = [DatasetExperience(dataset=dataset, current_experience=place) for place, dataset in enumerate(datasets)]
    return list(with_task_labels(with_classes_timeline(EagerCLStream("train", made))))


def split_dataset(
    task: "Task", split: str, encoder: Encoder, units: Mapping[str, int], task_label: int = 0
) -> TaskAwareSupervisedClassificationDataset:
    """One split of a task.

    Beside Avalanche's own attributes the dataset has `lengths`, the tokens of each text, and `rows`, their numbers in
    the split; both follow a text into every subset.
    """
    texts = tokenised(task, split, encoder)
    targets = [units[task.labels[label]] for label in task.split(split)["label"]]
    return TaskAwareSupervisedClassificationDataset(
        [TokenisedTexts(texts, targets)],
        data_attributes=[
            DataAttribute(targets, "targets"),
            TaskLabels(ConstantSequence(task_label, len(targets))),
            DataAttribute(texts.ids.lengths.tolist(), "lengths"),
            DataAttribute(list(range(len(targets))), "rows"),
        ],
        collate_fn=PadTokens(encoder.pad_token),
    )


def tokenised(task: "Task", split: str, encoder: Encoder) -> EncodedTexts:
    """The texts of a split.

    Raises:
        LearningError: The task is no classification.
    """
    if task.kind != "classification":
        raise LearningError(
            f"Task {task.name!r} is of kind {task.kind!r}, and baselines learn classification tasks only; choose "
            "another stream."
        )
    return texts_of(task.split(split), encoder)


def padded(texts: EncodedTexts, rows: Tensor, pad: int) -> Tensor:
    """Some texts as a batch of tokens, int64 [batch, longest, 3]."""
    ids, mask, types = texts.batch(rows, pad)
    return torch.stack([ids, mask.long(), torch.zeros_like(ids) if types is None else types], dim=2)


def unpadded(tokens: Tensor, pairs: bool = False) -> EncodedTexts:
    """The texts of a batch of tokens [batch, longest, 3]; the inverse of `padded`.

    Args:
        tokens: The batch.
        pairs: Whether the texts are pairs, whose segments count.
    """
    real = tokens[..., REAL].bool()
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), real.sum(1).cumsum(0)])
    ids = Ragged(tokens[..., TOKEN][real], offsets)
    return EncodedTexts(ids, Ragged(tokens[..., SEGMENT][real], offsets) if pairs else None, pairs)
