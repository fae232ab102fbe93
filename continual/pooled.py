"""The pool as a participant of a run: a prompt for each task, which is never changed again."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from continual.assessment import Assessor
from continual.assessment import TaskScore as PoolScore
from continual.backbone.encoder import Encoder
from continual.errors import RunError
from continual.evaluation.kinds import TRANSLATION
from continual.learner import Learner
from continual.participant import LearnedTask, SplitScore, TaskScores, guess
from continual.pool.prompt import PromptRecord
from continual.settings import LearnerSettings
from continual.training.checkpoint import Checkpoints
from continual.training.watch import Watcher
from continual.translation_assessment import TranslationAssessor, TranslationScore

if TYPE_CHECKING:
    from streams import Task

POOL = "pool"
_PREDICTIONS = "predictions.safetensors"
_TRANSLATIONS = "translations.json"


class PooledParticipant:
    """See `Participant`.

    Args:
        folder: The run's folder; the pool and the memory of answers lie in it.
        run_id: What the run's prompts carry, so that imported ones are never taken for its own.
        encoder: The backbone.
        settings: How tasks are learned.
    """

    artifacts = (POOL,)

    def __init__(self, folder: Path, run_id: str, encoder: Encoder, settings: LearnerSettings) -> None:
        self.tuning: str | None = settings.tuning["name"]
        self._folder, self._run = folder, run_id
        self._learner = Learner(folder / POOL, encoder, settings)
        self._assessor = Assessor(self._learner, folder / _PREDICTIONS)
        self._translations = TranslationAssessor(self._learner, folder / _TRANSLATIONS)

    @property
    def notes(self) -> list[str]:
        """See `Participant.notes`."""
        return self._learner.pool.notes

    def prompts(self) -> list[str]:
        """See `Participant.prompts`."""
        return self._learner.pool.ids()

    def check(self, learned: int) -> None:
        """See `Participant.check`: a pool that is further ahead than the task in work would change its scores."""
        positions = [self._own_position(record) or 0 for record in self._learner.pool.records()]
        if max(positions, default=0) > learned:
            raise RunError(
                f"The pool of {self._folder} holds more tasks than state.json knows of, so that file was lost or "
                "replaced; put it back, or start a new run."
            )

    def stored(self, task: "Task", position: int) -> LearnedTask | None:
        """See `Participant.stored`."""
        record = self._learner.find(task.name)
        if record is None or self._own_position(record) != position:
            return None
        self._learner.settle(record)
        return _learned(record)

    def learn(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> LearnedTask:
        """See `Participant.learn`."""
        return _learned(self._learner.learn(task, checkpoints, watcher, position=position, run=self._run))

    def untaught(self, task: "Task") -> SplitScore:
        """See `Participant.untaught`: translations are the frozen backbone's own."""
        return _score(self._translations.untaught(task)) if task.kind == TRANSLATION else guess(task)

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the nearest prompts with the same labels, or languages, answer, told or not."""
        # Its own prompt may be there: runs of older versions noted this score only after learning.
        own = [record.id for record in self._learner.pool.records() if self._own_position(record) == learned]
        score = self._assessor_of(task).unseen(task, own) if learned else None
        if score is None:
            return None
        found = _score(score)
        return TaskScores(found, found)

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`."""
        assessor = self._assessor_of(task)
        return TaskScores(_score(assessor.aware(task)), _score(assessor.routed(task)))

    def reread(self, tasks: "Iterable[Task]") -> None:
        """See `Participant.reread`."""
        for task in tasks:
            self._assessor_of(task).reread([task])

    def save(self) -> None:
        """See `Participant.save`."""
        self._assessor.save()
        self._translations.save()

    def finish(self) -> None:
        """See `Participant.finish`: a pool is what the run was for."""

    def _assessor_of(self, task: "Task") -> Assessor | TranslationAssessor:
        return self._translations if task.kind == TRANSLATION else self._assessor

    def _own_position(self, record: PromptRecord) -> int | None:
        """The place in the stream of a prompt that this run learned; None for one that was imported."""
        facts = record.provenance
        return facts.get("position") if facts.get("run") == self._run else None


def _learned(record: PromptRecord) -> LearnedTask:
    facts = record.provenance
    epochs = sum(len(stage["curve"]) - 1 for stage in facts["stages"])
    return LearnedTask(
        train_examples=facts["train_examples"],
        dev_examples=facts["dev_examples"],
        seconds=facts["seconds"],
        examples_seen=epochs * facts["train_examples"],
        trained_parameters=facts["trained_parameters"],
        dev_accuracy=facts["dev_accuracy"],
        stages=facts["stages"],
        prompt=record.id,
        sources=facts["sources"],
        candidates=facts["candidates"],
        tokens_seen=epochs * facts.get("train_tokens", 0),
    )


def _score(score: PoolScore | TranslationScore) -> SplitScore:
    found = score.evaluation
    about = {"prompts": score.prompts, "own": found.routed_right, "unknown": found.unknown, "score": found.score}
    if isinstance(score, TranslationScore):
        written = {"samples": score.samples, "written_tokens": score.tokens, "write_seconds": score.seconds}
        return SplitScore(found.bleu, found.chrf, **about, **written)
    return SplitScore(found.accuracy, found.macro_f1, **about)
