"""What a grid has measured, as typed records: the content of `grid.json`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from continual.errors import RunError
from continual.evaluation.typed import MismatchError, from_json
from continual.files import read_json

SCHEMA = 1


@dataclass
class Outcome:
    """How one training went; all scores are accuracies.

    Attributes:
        first: On dev after the first epoch.
        dev: On dev with the weights that were kept.
        test: On test with the weights that were kept.
        epoch: Whose weights were kept; 0 is the start.
        steps: Optimiser steps taken.
        seconds: Wall time.
    """

    first: float
    dev: float
    test: float
    epoch: int
    steps: int
    seconds: float


@dataclass
class Own:
    """A task's own prompt, trained from scratch: a source, and the baseline of a target."""

    task: str
    seed: int
    outcome: Outcome


@dataclass
class Pair:
    """A source's prompt transferred to a target.

    Attributes:
        source: Name of the source task.
        target: Name of the target task.
        seed: Of all trainings.
        scores: Predicted transferability by every metric; None where a metric does not apply.
        transfer: Vanilla transfer: training on the target from the source's prompt.
        panda: A fresh student distilled from that prompt.
        distilled: Whether the metric gave the teacher any weight; if not, PANDA's prompt is the target's own.
    """

    source: str
    target: str
    seed: int
    scores: dict[str, float | None]
    transfer: Outcome
    panda: Outcome
    distilled: bool


@dataclass
class Measured:
    """A whole grid, finished or not.

    Attributes:
        stream: Name of the stream.
        backbone: Name of the backbone.
        tuning: Name of the tuning.
        metric: The transferability metric that weighs PANDA's distillation.
        examples: Largest number of training texts of a task; None for no limit.
        sources: Names of the source tasks.
        targets: Names of the target tasks.
        seeds: The seeds.
        settings: For each seed the resolved configuration.
        own: Prompts from scratch.
        pairs: Transfers.
        seconds: Wall time over all sessions.
        finished: Whether every cell is measured.
        versions: The versions that numbers may depend on.
        schema: Of this record.
    """

    stream: str
    backbone: str
    tuning: str
    metric: str
    examples: int | None
    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    own: list[Own] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False
    versions: dict[str, str | None] = field(default_factory=dict)
    schema: int = SCHEMA

    def wanted(self) -> list[Pair]:
        """The transfers among the sources, targets and seeds; earlier calls may have asked for others."""
        return [
            pair
            for pair in self.pairs
            if pair.source in self.sources and pair.target in self.targets and pair.seed in self.seeds
        ]

    def distillation(self) -> str:
        """In a sentence, how many of these transfers PANDA distilled: the others pull its results towards scratch."""
        pairs = self.wanted()
        distilled = sum(pair.distilled for pair in pairs)
        others = "" if distilled == len(pairs) else "; where it was given no weight, its prompt is the target's own"
        return f"PANDA distilled {distilled:,} of {len(pairs):,} transfers{others}."


def load_measured(path: Path) -> Measured:
    """Reads `grid.json`.

    Raises:
        RunError: It cannot be understood, or was written by a newer version.
    """
    try:
        measured = from_json(Measured, read_json(path))
    except OSError as error:
        raise RunError(f"Could not read {path}: {error.strerror or error}; give the folder of a grid.") from error
    except (ValueError, MismatchError) as error:
        raise RunError(f"{path} is not the record of a grid ({error}); delete its folder and start anew.") from error
    if measured.schema > SCHEMA:
        raise RunError(f"{path} was written by a newer version of this program; update it and try again.")
    return measured
