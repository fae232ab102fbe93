"""One experiment on disk: started, killed, resumed and finished, always with the same numbers."""

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from continual.config import RunConfig, from_file
from continual.environment import computing_with, processor_seconds, versions
from continual.errors import Interrupted, RunError, StorageError
from continual.evaluation.stream_metrics import STREAM_METRICS
from continual.files import held_alone, read_json, storage_errors, write_json, write_text
from continual.progress import Progress
from continual.results import Results
from continual.run_state import SCHEMA, STATE, place_in, read_state, refuse_other_data, test_digest
from continual.team import current_team
from continual.usable import require_usable

if TYPE_CHECKING:
    from continual.evaluation.summary import Summary
    from continual.participant import LearnedTask, Participant
    from continual.tracking.tracker import Tracker
    from streams import StreamManager, Task

ABOUT, CONFIG, REPORT = "run.json", "config.yaml", "report.html"
MATRIX = "matrix.csv"
_CHECKPOINT, _LOCK = "checkpoint", ".lock"
_SECONDS_BETWEEN_SAVES = 10.0
"""Of what was answered while tasks are assessed: a kill costs so much, and saving takes little beside it."""


class Run:
    """A run folder.

    It holds `config.yaml` (the resolved configuration), `state.json` (what is finished), `checkpoint/` (the task in
    work), what the participant keeps (our methods: `pool/` and `predictions.safetensors`), `summary.json` and
    `report.html`.

    Args:
        folder: The folder, made by `Run.create`.

    Raises:
        RunError: The folder is not a run.

    Example:
        What `continual run quickstart method=scratch` does::

            from continual import Run, compose

            run = Run.create("runs/first", compose("quickstart", ["method=scratch"]))
            run.execute()
            print(run.summary().aware.average, run.summary().routed.average)
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = folder = Path(folder)
        if not (folder / CONFIG).is_file():
            raise RunError(f"{folder} is not a run: it has no {CONFIG}; give the folder of a run.")
        self.config = from_file(folder / CONFIG)

    @classmethod
    def create(cls, folder: str | PathLike[str], config: RunConfig) -> "Run":
        """Makes a new run folder.

        Raises:
            RunError: The folder holds something already.
        """
        folder = Path(folder)
        try:
            with storage_errors(folder):
                folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            raise RunError(
                f"{folder} exists already; continue it with `continual resume {folder}` or choose another --name."
            ) from None
        except OSError as error:
            raise StorageError(f"Could not make the folder {folder}: {error.strerror or error}.") from error
        write_json(folder / ABOUT, {"id": uuid.uuid4().hex, "created": datetime.now(UTC).isoformat(timespec="seconds")})
        write_text(folder / CONFIG, config.to_yaml())
        return cls(folder)

    @property
    def name(self) -> str:
        """The run's name: that of its folder."""
        return self.folder.name

    @property
    def id(self) -> str:
        """What tells this run from every other, whatever they are called; prompts carry it."""
        try:
            return read_json(self.folder / ABOUT)["id"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.folder / ABOUT} is missing or damaged; start a new run.") from error

    def summary(self) -> "Summary":
        """What `summary.json` says so far.

        Raises:
            RunError: There is none yet, or it is damaged.
        """
        from continual.evaluation.summary import load_summary

        return load_summary(self.folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from working on this run.

        Raises:
            RunError: Another process does.
        """
        refusal = RunError(
            f"The run {self.folder} is being worked on by another process; wait for it, or stop it first."
        )
        with held_alone(self.folder / _LOCK, self.folder, refusal):
            yield

    def discard_unbegun(self) -> None:
        """Removes the folder again where nothing was learned, so that a corrected command may use its name."""
        known = {ABOUT, CONFIG, STATE, _LOCK, "pool"}
        begun = {path.name for path in self.folder.iterdir()} - known or any(self.folder.glob("pool/prompts/*"))
        if not begun:
            shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, progress: Progress | None = None) -> Results:
        """Learns the stream from where it stands to its end.

        Args:
            progress: What shows it and may stop it; by default nothing is shown.

        Raises:
            Interrupted: The user asked to stop; `execute` goes on from there.
            UserError: Something in the data, the pool or on the disk has to be put right first.
        """
        with self.locked(), computing_with(self.config.threads):
            return _Execution(self, progress or Progress()).run()


class _Execution:
    """One session of work on a run."""

    def __init__(self, run: Run, progress: Progress) -> None:
        from continual.backbone.opening import open_backbone
        from continual.participant import open_participant
        from continual.tracking.tracker import open_tracker
        from streams import build_stream

        self.folder, self.config, self.progress = run.folder, run.config, progress
        self.started, self.computed = time.monotonic(), processor_seconds()
        self.stream: StreamManager = build_stream(self.config.stream, self.config.seed)
        backbone = open_backbone(self.config.backbone)
        self.backbone = backbone
        self.participant: Participant = open_participant(
            self.folder, run.id, backbone, self.config.learner, self.stream
        )
        self.results = self._restored(run.name, backbone.name)
        tracking = self.config.tracking
        self.tracker: Tracker = open_tracker(
            self.folder.parent,
            enabled=tracking.enabled and current_team().leads,
            uri=tracking.uri,
            experiment=tracking.experiment,
            run_id=self.results.tracking_id,
        )

    def run(self) -> Results:
        """The stream's tasks, one after another."""
        status = "failed"
        skipped = [f"Task {name} was left out: {reason}" for name, reason in self.stream.skipped.items()]
        self.results.reading += [note for note in skipped if note not in self.results.reading]
        try:
            self._begin()
            with self.progress.running(self.stream.name, list(self.stream.names), self.results.learned):
                for task in self.stream.remaining():
                    self._one_task(task)
            self._finish()
            status = "finished"
        except Interrupted:
            status = "interrupted"
            self.participant.save()
            self._write_state()
            raise
        except KeyboardInterrupt:  # may have struck while answers were noted, so that these are not saved
            status = "interrupted"
            self._write_state()
            raise
        finally:
            self.tracker.finish(status)
        return self.results

    def _begin(self) -> None:
        """The run is known to the tracker and on disk."""
        self.results.tracking_id = self.tracker.start(
            self.results.run, self.config.resolved, self.config.to_yaml(), {"stream": self.stream.name}
        )
        self._write_state()  # with the tracker's id, so that a run killed early is not logged twice
        if 0 < self.results.learned < len(self.stream):
            self._report(finished=False)  # it may have been, before tasks were added

    def _one_task(self, task: "Task") -> None:
        """Learns and assesses one task; whatever is interrupted here is done again the same way."""
        from continual.participant import check_task

        position = self.results.learned
        self.progress.check()
        self.results.accept(task)
        check_task(self.config.learner, self.backbone, task)
        if not self.results.has_met(task.name):
            self._meet(task)
        learned = self.participant.stored(task, position) or self._learn(task, position)
        self._assess(task, learned)
        self._save()
        self.progress.task_done(task.name, self.results.latest())
        self.tracker.task_metrics(position + 1, self.results.latest())

    def _meet(self, task: "Task") -> None:
        """Scores the task before it is learned: what is known already answers, or chance does.

        It goes to disk at once, because after learning it could not be measured again.
        """
        self._note_reading(task)
        started = time.monotonic()
        scores = self.participant.unseen(task, self.results.learned)
        self.results.meet(task.name, self.participant.untaught(task), scores)
        self.results.evaluate_seconds += time.monotonic() - started
        self.participant.save()
        self._write_state()

    def _note_reading(self, task: "Task") -> None:
        """What was left out, repaired or cut is told with the results, and at once where characters were lost."""
        from continual.reading_notes import REPLACED, reading_counts, reading_notes

        counts = reading_counts(task, self.backbone)
        for note in reading_notes(task, counts):
            if note in self.results.reading:
                continue
            self.results.reading.append(note)
            if counts["reading"].get(REPLACED) and note.startswith("Reading"):
                self.progress.warn(note)

    def _learn(self, task: "Task", position: int) -> "LearnedTask":
        from continual.training.checkpoint import FolderCheckpoints

        # The folder carries the position, so that the leftovers of an earlier task are never taken up.
        checkpoints = FolderCheckpoints(self.folder / _CHECKPOINT / f"{position:04d}")
        return self.participant.learn(task, position, checkpoints, self.progress.watcher(task.name, self.tracker))

    def _assess(self, task: "Task", learned: "LearnedTask") -> None:
        """One row of each matrix. After the last task, what was learned is read from disk and measured again."""
        started = time.monotonic()
        count = self.results.learned + 1
        seen = [self.stream.task(name) for name in self.stream.names[:count]]
        if count == len(self.stream):
            self.participant.reread(seen)
        scores, saved = {}, started
        for other in seen:
            self.progress.check()
            scores[other.name] = self.participant.scores(other, count)
            if time.monotonic() - saved >= _SECONDS_BETWEEN_SAVES:
                self.participant.save()
                saved = time.monotonic()
        seconds = time.monotonic() - started
        self.results.digests[task.name] = test_digest(task)
        self.results.add(task, learned, scores, seconds, self.participant.prompts())

    def _save(self) -> None:
        """What is finished goes to disk: what the participant remembers first, since the state refers to it."""
        from continual.training.checkpoint import FolderCheckpoints

        self.participant.save()
        self._write_state()
        FolderCheckpoints(self.folder / _CHECKPOINT).clear()
        self._report(finished=False)

    def _write_state(self) -> None:
        now, computed = time.monotonic(), processor_seconds()
        self.results.touch(now - self.started, computed - self.computed)
        self.started, self.computed = now, computed
        state = {
            "schema": SCHEMA,
            "processes": current_team().size,
            "stream": self.stream.state_dict(),
            "results": self.results.to_json(),
        }
        # The manager moves its cursor only when it is asked for the next task; this task is finished now.
        state["stream"]["cursor"] = self.results.learned
        write_json(self.folder / STATE, state)

    def _finish(self) -> None:
        self._write_state()
        self._report(finished=True)
        write_text(self.folder / MATRIX, self.results.matrix_csv())
        names = ("summary.json", MATRIX, REPORT, CONFIG, *self.participant.artifacts)
        notes = len(self.tracker.notes)
        self.tracker.artifacts([self.folder / name for name in names])
        if len(self.tracker.notes) > notes:
            self._report(finished=True)
        self.participant.finish()

    def _report(self, finished: bool) -> None:
        from continual.evaluation.report import render_report

        notes = [*self.participant.notes, *self.tracker.notes]
        summary = self.results.summary(finished, versions(), notes)
        summary.write(self.folder)
        if finished:
            write_text(self.folder / REPORT, render_report(summary.to_dict(), self.config.resolved, self.folder))

    def _restored(self, name: str, backbone: str) -> Results:
        """The results so far, and the stream at the same place."""
        path = self.folder / STATE
        config = self.config
        STREAM_METRICS.names()  # those of installed packages too: one that is broken is told before anything is learned
        if not path.exists():
            self.participant.check(0)
            return Results.begun(
                run=name,
                stream=self.stream.name,
                method=config.learner.method["name"],
                tuning=self.participant.tuning,
                backbone=backbone,
                seed=config.seed,
                tasks=list(self.stream.names),
                first=require_usable(self.stream, config.learner, self.backbone),
            )
        state = read_state(self.folder)
        if state.get("processes", 1) != current_team().size:
            raise RunError(
                f"{self.folder} was begun with {state.get('processes', 1)} processes and cannot be continued with "
                f"{current_team().size}, which would be another training; start as many as before."
            )
        results = place_in(self.stream, state, self.folder, isinstance(config.stream.get("order"), list))
        refuse_other_data(self.folder, self.stream, results)
        self.participant.check(results.learned)
        return results
