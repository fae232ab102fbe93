"""Small students for tests: made-up translation, models of some thousand weights, done in seconds."""

from pathlib import Path
from typing import Any

BASE = (
    "pool.train=120",
    "pool.held_out=4",
    "model.vocabulary=400",
    "model.width=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
    "model.heads=2",
    "model.inner=64",
    "model.dropout=0.05",
    "training.steps=4",
    "training.warmup=2",
    "evaluation.bleu=false",
    "tracking.enabled=false",
    "threads=1",
)
COMMON = (
    "stream.train=120",
    "stream.dev=24",
    "stream.test=12",
    "translating.beams=1",
    "translating.max_new_tokens=24",
    "translating.test=6",
    "training.batch_tokens=512",
    "training.warmup=5",
    "tracking.enabled=false",
    "threads=1",
)


def base(cache: Path, *overrides: str) -> Path:
    """A pretrained model that has hardly learned anything; the same vocabulary whatever its size."""
    from continual.pretraining.config import compose
    from continual.pretraining.session import Pretraining
    from continual.progress import Progress

    return Pretraining(compose("translation-tiny", [*BASE, *overrides]), cache).execute(Progress())


def student(recipe: str, runs: Path, name: str | None, *overrides: str) -> Any:
    """A student that is not made yet."""
    from continual.students.session import Student, compose

    return Student(compose(recipe, [*COMMON, *overrides]), runs, name)


def made(recipe: str, runs: Path, name: str, *overrides: str) -> Path:
    """The folder of a finished student."""
    from continual.progress import Progress

    return student(recipe, runs, name, *overrides).execute(Progress())


def listed(*folders: Path) -> str:
    """Teachers as an override."""
    return f"teachers=[{','.join(map(str, folders))}]"


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """All of a summary that must not depend on interruptions."""
    stages = [
        {
            **{name: value for name, value in stage.items() if name != "seconds"},
            "curve": [{name: value for name, value in entry.items() if name != "seconds"} for entry in stage["curve"]],
        }
        for stage in summary["stages"]
    ]
    return {name: value for name, value in summary.items() if name != "seconds"} | {"stages": stages}


def interrupted(steps: int) -> Any:
    """Asks to stop after some steps, as Ctrl-C does."""
    from continual.progress import Progress

    class StopAfter(Progress):
        left = steps

        def advance(self, steps: int) -> None:
            self.left -= steps
            if self.left <= 0:
                self._stopping.set()

    return StopAfter()


def work(runs: str, overrides: list[str]) -> None:
    """Makes a student to its end; what a killed process was doing. Every step is kept."""
    import continual.pretraining.loop as loop
    from continual.progress import Progress

    loop._SECONDS_BETWEEN_CHECKPOINTS = 0.0
    student("ckd", Path(runs), None, *overrides).execute(Progress())
