"""A grid on disk: begun, killed, continued and finished, always with the same numbers."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from continual.environment import computing_with, versions
from continual.errors import ConfigError, RunError
from continual.evaluation.groups import told_difference
from continual.evaluation.typed import to_json
from continual.files import held_alone, write_json, write_text
from continual.grid.findings import Findings, findings
from continual.grid.plan import Plan
from continual.grid.records import Measured, Own, Pair, load_measured
from continual.progress import Progress
from streams import build_stream
from streams.options import require_choice

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.grid.trials import Trials

RECORD, PAGE = "grid.json", "grid.html"
_LOCK = ".lock"


class Grid:
    """A folder with the record of a grid, its page, and what its trainings need.

    It holds `grid.json` (everything measured and found, written after each cell), `grid.html`, and for each seed a
    folder with the prompts from scratch. A grid that was cut off goes on with its next cell; one that is asked for
    further sources, targets or seeds measures what is new.

    Args:
        folder: The folder; made where there is none.
        plan: What is to be measured.

    Raises:
        RunError: The folder holds something else, or a grid with other settings.
        StreamError: A task is unknown, or the data cannot be read.
        ConfigError: Nothing is left to transfer.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.measured = self._begun()
        self._encoder: Encoder | None = None
        self._since = time.monotonic()

    def findings(self) -> Findings:
        """What the measurements made so far show."""
        return findings(self.measured)

    def run(self, progress: Progress) -> Measured:
        """Measures what is missing.

        Raises:
            Interrupted: The user asked to stop; `run` goes on from there.
            RunError: Another process works on this grid.
        """
        from continual.grid.page import render_grid

        with self._locked():
            self._since = time.monotonic()
            self._save()
            left = {seed: _left(self.measured, seed) for seed in self.measured.seeds}
            cells = [name for own, pairs in left.values() for name in (*own, *pairs)]
            with progress.running(self.measured.stream, cells, 0):
                for seed, (own, pairs) in left.items():
                    if own or pairs:
                        with computing_with(self.plan.configs[seed].threads):
                            self._one_seed(self._trials(seed, progress), own, pairs, progress)
            self.measured.finished = True
            self._save()
            write_text(self.folder / PAGE, render_grid(self.measured, self.findings(), self.folder.name))
        return self.measured

    def _one_seed(self, trials: "Trials", own: Sequence[str], pairs: "_Pairs", progress: Progress) -> None:
        for name in own:
            progress.check()
            self.measured.own.append(trials.own(name))
            self._save()
            progress.done(_own_line(self.measured.own[-1]))
        for target in dict.fromkeys(target for _, target in pairs):
            for pair in trials.pairs(target, [source for source, other in pairs if other == target]):
                self.measured.pairs.append(pair)
                self._save()
                progress.done(_pair_line(pair))

    def _trials(self, seed: int, progress: Progress) -> "Trials":
        from continual.backbone.opening import open_backbone
        from continual.grid.trials import Trials

        config = self.plan.configs[seed]
        if self._encoder is None:
            self._encoder = open_backbone(config.backbone)
        self.measured.backbone = self._encoder.name
        return Trials(self.folder / f"seed{seed}", config, self._encoder, progress)

    def _begun(self) -> Measured:
        """The record in the folder, widened to what is planned, or a new one."""
        plan = self.plan
        config = next(iter(plan.configs.values()))
        names = build_stream(config.stream, config.seed).names
        for what, chosen in (("sources", plan.sources), ("targets", plan.targets)):
            for name in chosen:
                require_choice(f"the option --{what}", "task", name, names)
        settings = {str(seed): one.resolved for seed, one in plan.configs.items()}
        measured = self._recorded(settings)
        if measured is None:
            measured = Measured("", "", config.learner.tuning["name"], config.learner.transfer.metric, plan.examples)
            measured.stream = config.stream.get("name") or config.stream["kind"]
        measured.sources = list(dict.fromkeys(plan.sources or names))
        measured.targets = list(dict.fromkeys(plan.targets or names))
        measured.seeds = list(plan.configs)
        measured.settings |= settings
        measured.versions = versions()
        measured.finished = not any(part for seed in measured.seeds for part in _left(measured, seed))
        if len({*measured.sources, *measured.targets}) < 2:
            raise ConfigError("A grid needs a source and another task as target; give more --sources or --targets.")
        return measured

    def _recorded(self, settings: dict[str, dict]) -> Measured | None:
        """What the folder holds, or None where it holds nothing yet."""
        if not (self.folder / RECORD).exists():
            if self.folder.exists() and any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
                raise RunError(f"{self.folder} exists already and holds no grid; choose another --name.")
            return None
        measured = load_measured(self.folder / RECORD)
        for seed in settings.keys() & measured.settings.keys():
            told = told_difference(measured.settings[seed], settings[seed])
            if told:
                raise RunError(f"{self.folder} holds a grid with other settings: {told}; choose another --name.")
        return measured

    def _save(self) -> None:
        now = time.monotonic()
        self.measured.seconds += now - self._since
        self._since = now
        write_json(self.folder / RECORD, to_json(self.measured) | {"findings": to_json(self.findings())})

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        refusal = RunError(
            f"The grid {self.folder} is being worked on by another process; wait for it, or stop it first."
        )
        with held_alone(self.folder / _LOCK, self.folder, refusal):
            yield


_Pairs = list[tuple[str, str]]


def _left(measured: Measured, seed: int) -> tuple[list[str], _Pairs]:
    """The tasks and the pairs (source, target) that are still to be measured under a seed."""
    own = {item.task for item in measured.own if item.seed == seed}
    done = {(pair.source, pair.target) for pair in measured.pairs if pair.seed == seed}
    tasks = [name for name in dict.fromkeys([*measured.sources, *measured.targets]) if name not in own]
    pairs = [(source, target) for target in measured.targets for source in measured.sources if source != target]
    return tasks, [pair for pair in pairs if pair not in done]


def _own_line(own: Own) -> str:
    return f"{own.task}, seed {own.seed}: from scratch {own.outcome.dev:.3f} on dev ({own.outcome.seconds:.0f} s)"


def _pair_line(pair: Pair) -> str:
    scores = f"transfer {pair.transfer.dev:.3f}, PANDA {pair.panda.dev:.3f} on dev"
    return f"{pair.source} to {pair.target}, seed {pair.seed}: {scores} ({_seconds(pair):.0f} s)"


def _seconds(pair: Pair) -> float:
    return pair.transfer.seconds + (pair.panda.seconds if pair.distilled else 0.0)
