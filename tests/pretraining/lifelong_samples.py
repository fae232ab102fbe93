"""Small lifelong pretrainings for tests: made-up domains and a model of a few thousand weights, done in seconds."""

from pathlib import Path
from typing import Any

SMALL = (
    "stream.train=40",
    "stream.dev=8",
    "stream.test=8",
    "+stream.order=[kitchen,harbour,office]",
    "model.vocabulary=340",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.inner=32",
    "model.max_length=48",
    "training.steps=6",
    "training.batch_tokens=400",
    "training.warmup=2",
    "training.evaluate_every=4",
    "strategy.memory=300",
    "tracking.enabled=false",
    "threads=1",
)

CAUSAL = ("model.kind=causal",)

EVERYTHING = (
    "strategy=elle",
    "strategy.replay=0.3",
    "strategy.distillation=memory",
    "strategy.objective=self_evolution",
)
"""All parts of a strategy at once, but for an expansion."""


def small(cache: Path, *overrides: str) -> Any:
    """A small lifelong pretraining in the folder `cache`."""
    from continual.pretraining.config import compose
    from continual.pretraining.session import Pretraining

    return Pretraining(compose("lifelong", [*SMALL, *overrides]), cache)


def lifelong_numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """All of a summary that must not depend on interruptions."""
    trainings = [
        _timeless(training) | {"curve": [_timeless(entry) for entry in training["curve"]]}
        for training in summary["trainings"]
    ]
    return _timeless(summary) | {"trainings": trainings}


def _timeless(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "seconds"}


def work(cache: str, overrides: tuple[str, ...]) -> None:
    """Makes a small model to its end; what a killed process was doing. Every step is kept."""
    import continual.pretraining.loop as loop
    from continual.progress import Progress

    loop._SECONDS_BETWEEN_CHECKPOINTS = 0.0
    small(Path(cache), *overrides).execute(Progress())


def die_in_state(cache: str, overrides: tuple[str, ...], number: int) -> None:
    """Works until the state after `number` domains is half written, and is killed there."""
    import os
    import signal

    import continual.pretraining.lifelong.state as state

    real = state.write_json

    def half(path: Path, value: Any) -> None:
        real(path, value)
        if path.name == "lifelong.json" and len(value["learned"]) == number:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    state.write_json = half
    work(cache, overrides)
