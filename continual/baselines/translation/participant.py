"""What the baselines of translation have in common as participants of a run."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from continual.backbone.text_to_text import TextToText
from continual.baselines.base import Bench
from continual.baselines.states import States
from continual.baselines.translation.material import ParallelText, joined, parallel_of
from continual.baselines.translation.model import WholeModel
from continual.participant import LearnedTask, SplitScore
from continual.seeding import seed_of
from continual.training.checkpoint import Checkpoints
from continual.training.loop import FitResult, Penalty, fit
from continual.training.watch import Watcher
from continual.translation_assessment import corpus_scores, evaluation_of, samples
from continual.translator import UNTUNED, Sources, Translator, Written

if TYPE_CHECKING:
    from streams import Task

STAGE = "fine-tuning"


class TranslationBaseline(ABC):
    """See `Participant`.

    Args:
        bench: Where it works; its encoder is a `TextToText`.
        learning_rate: Peak learning rate of all weights.
    """

    tuning = None
    artifacts = ()

    def __init__(self, bench: Bench, learning_rate: float) -> None:
        assert isinstance(bench.encoder, TextToText)
        self._backbone: TextToText = bench.encoder
        self._bench, self._rate = bench, learning_rate
        self._names = bench.stream.names
        self._states = States(bench.folder)
        self._sources: dict[str, Sources] = {}

    @property
    def notes(self) -> list[str]:
        """See `Participant.notes`."""
        return []

    @abstractmethod
    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """See `Participant.stored`."""

    def check(self, learned: int) -> None:
        """See `Participant.check`."""
        self._states.check(learned, len(self._names))

    def untaught(self, task: "Task") -> SplitScore:
        """See `Participant.untaught`: the backbone as it is."""
        return score_of(task, self._written(self._backbone, task))

    @abstractmethod
    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""

    def save(self) -> None:  # noqa: B027  (there is nothing to write)
        """See `Participant.save`: test splits are translated as wholes, so that translations are always the same."""

    def finish(self) -> None:
        """See `Participant.finish`."""
        self._states.clear()

    def _fit(
        self,
        model: WholeModel,
        task: "Task",
        train: ParallelText,
        dev: ParallelText,
        checkpoints: Checkpoints,
        watcher: Watcher,
        penalty: Penalty | None = None,
        tasks: int = 1,
    ) -> FitResult:
        """Trains a model on so many tasks; the rate is the baseline's, and no average of its weights is kept."""
        settings = self._bench.settings
        config = replace(settings.training.for_tasks(tasks), learning_rate=self._rate, average=0.0)
        generator = torch.Generator().manual_seed(seed_of(settings.seed, task.name, "student"))
        return fit(model, train, dev, config, generator, None, STAGE, checkpoints, watcher, penalty)

    def _text(
        self, tasks: Sequence["Task"], split: str, remembered: Sequence[tuple["Task", list[int]]] = ()
    ) -> ParallelText:
        """A split of several tasks, and rows of others that are remembered."""
        parts = [parallel_of(self._backbone, task.split(split)) for task in tasks]
        memory = [parallel_of(self._backbone, task.split(split), rows) for task, rows in remembered if rows]
        return ParallelText(joined([*parts, *memory]), sum(map(len, memory)))

    def _written(self, backbone: TextToText, task: "Task") -> Written:
        """The translations of a task's test split."""
        if task.name not in self._sources:
            self._sources[task.name] = Sources.of(self._backbone, list(task.test["text"]))
        sources = self._sources[task.name]
        count = len(sources)
        translator = Translator(backbone, self._bench.settings.decoding)
        return translator.translate(sources, range(count), [UNTUNED] * count)

    def _loaded(self, tensors: dict[str, torch.Tensor]) -> WholeModel:
        model = WholeModel(self._backbone)
        model.load(tensors)
        return model

    def _task(self, place: int) -> "Task":
        return self._bench.stream.task(self._names[place])


def score_of(task: "Task", written: Written, **routing: object) -> SplitScore:
    """The score of translations of a task's test split; `routing` are the further fields."""
    found = evaluation_of(corpus_scores(task, written.texts))
    return SplitScore(
        found.bleu,
        found.chrf,
        score=found.score,
        samples=samples(task, written.texts),
        written_tokens=written.tokens,
        write_seconds=written.seconds,
        **routing,
    )


def learned_of(
    result: FitResult, train: ParallelText, dev: ParallelText, seconds: float, size: int, prompt: str | None = None
) -> LearnedTask:
    """How a training went, as a run notes it.

    Args:
        result: The training.
        train: What it learned from.
        dev: What chose the epoch.
        seconds: Wall time, over all sessions.
        size: How many numbers were trained.
        prompt: Name of the model, where it belongs to a task.
    """
    epochs = len(result.curve) - 1
    stage = {key: getattr(result, key) for key in ("steps", "seconds", "best_epoch", "curve")} | {"name": result.stage}
    return LearnedTask(
        train_examples=len(train),
        dev_examples=len(dev),
        seconds=seconds,
        examples_seen=epochs * len(train),
        trained_parameters=size,
        dev_accuracy=result.dev_accuracy,
        stages=[stage],
        prompt=prompt,
        tokens_seen=epochs * train.tokens,
    )
