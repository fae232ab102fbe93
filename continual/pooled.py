"""The pool as a participant of a run: a prompt for each task, which is never changed again."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.assessment import Assessor, dev_accuracies
from continual.assessment import TaskScore as PoolScore
from continual.backbone.encoder import Encoder
from continual.errors import RunError
from continual.evaluation.kinds import TRANSLATION
from continual.growth.stream import Growing
from continual.learner import Learner
from continual.participant import LearnedTask, SplitScore, TaskScores, guess
from continual.pool.prompt import PromptRecord, next_to
from continual.settings import LearnerSettings
from continual.storing import DEV_ACCURACY, without_revisions
from continual.training.checkpoint import Checkpoints, Named
from continual.training.watch import Watcher
from continual.translation_assessment import TranslationAssessor, TranslationScore

if TYPE_CHECKING:
    from streams import Task

POOL = "pool"

GROWN = "grown"
"""Where the provenance of a prompt that was learned again on a grown backbone keeps the first one's id."""

INSTEAD_OF = "instead_of"
"""Where that of the first one, which turned out better, keeps the id of the one learned again."""

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

    def __init__(self, folder: Path, run_id: str, encoder: Encoder, settings: LearnerSettings) -> None:
        self.tuning: str | None = settings.tuning["name"]
        self._folder, self._run = folder, run_id
        self._growing = Growing(folder, encoder, settings)
        self._open()

    def _open(self) -> None:
        """The backbone and the pool that are in use: those of the newest generation, if the backbone has grown."""
        newest = self._growing.newest()
        pool = self._folder / POOL if newest is None else newest.pool
        self._learner = Learner(pool, self._growing.encoder(), self._growing.settings())
        self._assessor = Assessor(self._learner, self._folder / _PREDICTIONS if newest is None else newest.predictions)
        self._translations = TranslationAssessor(self._learner, self._folder / _TRANSLATIONS)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """See `Participant.artifacts`."""
        return (self._learner.pool.path.relative_to(self._folder).as_posix(),)

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
        """See `Participant.stored`; a task after which the backbone grows is learned when it is learned again."""
        record = self._own(task, position)
        if record is None:
            return None
        self._learner.settle(record)
        if self._growing.config.active:
            decision = self._growing.decision(record, position)
            if decision is not None and decision.grow and GROWN not in record.provenance:
                return None
            self._growing.remember(task, position)
        return self._told(self._better(record, task), position)

    def learn(self, task: "Task", position: int, checkpoints: Checkpoints, watcher: Watcher) -> LearnedTask:
        """See `Participant.learn`."""
        record = self._own(task, position)  # there already where a growth was cut off
        if record is None:
            examine = self._growing.examines(position)
            record = self._learner.learn(task, checkpoints, watcher, examine, self._place(position))
        if self._growing.config.active:
            record = self._grow(task, position, record, checkpoints, watcher)
        return self._told(record, position)

    def _grow(
        self, task: "Task", position: int, record: PromptRecord, checkpoints: Checkpoints, watcher: Watcher
    ) -> PromptRecord:
        """Step 5: a larger backbone where prompts cannot hold the task, which is then learned again."""
        self._growing.remember(task, position)
        decision = self._growing.decision(record, position)
        if decision is None or not decision.grow:
            return record
        generation = self._growing.at(position)
        if generation is None:
            generation = self._growing.grow(self._learner, task, position, checkpoints, watcher)
            self._open()
        again = Named(checkpoints, "again-")  # its trainings are named as those of the first time
        facts = {GROWN: record.id} | self._place(position)
        return self._better(self._learner.learn(task, again, watcher, run=facts), task)

    def _better(self, record: PromptRecord, task: "Task") -> PromptRecord:
        """The prompt that answers: one learned again on a grown backbone, or the first where that does better on dev.

        Both are asked on the grown backbone, which may have moved the first one's answers. If it answers, it becomes
        the newest version, for nothing stored is ever changed.
        """
        facts, pool = record.provenance, self._learner.pool
        if GROWN not in facts or INSTEAD_OF in facts:
            return record
        first = pool.get(facts[GROWN])
        again, before = dev_accuracies(self._learner, task, (record, first))
        if again >= before:
            return record
        provenance = without_revisions(first.provenance) | {GROWN: first.id, INSTEAD_OF: record.id}
        tensors, version = without_revisions(first.tensors), pool.next_version(first.task)
        answering = next_to(first, version, tensors=tensors, provenance=provenance, created=first.created)
        return pool.add(answering, renumber=True)

    def _own(self, task: "Task", position: int) -> PromptRecord | None:
        """The newest prompt that this run has learned for the task at a place of the stream."""
        record = self._learner.directory.find(task.name)
        return None if record is None or self._own_position(record) != position else record

    def _told(self, record: PromptRecord, position: int) -> LearnedTask:
        """How a task was learned, both times where the backbone grew in between."""
        learned = _learned(record)
        if not self._growing.config.active:
            return learned
        first = self._learner.pool.record(record.provenance[GROWN]) if GROWN in record.provenance else None
        decision = self._growing.decision(first or record, position)
        if decision is None:
            return learned
        generation = self._growing.at(position)
        entry = {"task": record.task, "reason": decision.reason, "evidence": dict(decision.evidence)}
        if first is None or generation is None:
            return replace(learned, growth=entry | {"from": None, "to": None, "seconds": decision.seconds})
        before, origin = _learned(first), generation.lineage.origin
        instead = record.provenance.get(INSTEAD_OF)  # what was learned again counts, even if the first one answers
        again = learned if instead is None else _learned(self._learner.pool.record(instead))
        entry["evidence"] |= origin["evidence"]
        entry["evidence"] |= {"dev_accuracy_before": before.dev_accuracy, "dev_accuracy_after": again.dev_accuracy}
        seconds = origin["seconds"] + again.seconds
        return replace(
            learned,
            seconds=before.seconds + seconds,
            examples_seen=before.examples_seen + again.examples_seen,
            tokens_seen=before.tokens_seen + again.tokens_seen,
            growth=entry | {"from": origin["from"], "to": origin["to"], "seconds": decision.seconds + seconds},
        )

    def untaught(self, task: "Task") -> SplitScore:
        """See `Participant.untaught`: translations are the frozen backbone's own."""
        return _score(self._translations.untaught(task)) if task.kind == TRANSLATION else guess(task)

    def unseen(self, task: "Task", learned: int) -> TaskScores | None:
        """See `Participant.unseen`: the nearest prompts with the same labels, or languages, answer, told or not."""
        # Its own prompt may be there: runs of older versions noted this score only after learning.
        own = [record.id for record in self._learner.pool.records() if self._own_position(record) == learned]
        assessor = self._assessor_of(task)
        told, not_told = (assessor.unseen(task, told, own) if learned else None for told in (True, False))
        return TaskScores(_score(told), _score(not_told)) if told and not_told else None

    def scores(self, task: "Task", learned: int) -> TaskScores:
        """See `Participant.scores`."""
        assessor = self._assessor_of(task)
        aware, routed = _score(assessor.aware(task)), _score(assessor.routed(task))
        if self._learner.method.shared:  # one model answers everything: there is no prompt of a text's own task
            routed = replace(routed, prompts=None, own=None)
        return TaskScores(aware, routed)

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

    def _place(self, position: int) -> dict[str, Any]:
        """What a prompt's provenance keeps of where this run has learned it."""
        return {"position": position, "run": self._run}

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
        dev_accuracy=facts.get(DEV_ACCURACY),
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
