"""Small pretrainings for tests: a toy pool and a model of a few thousand weights, done in seconds."""

from pathlib import Path
from typing import Any

SMALL = (
    "pool.train=160",
    "pool.held_out=12",
    "model.vocabulary=400",
    "model.width=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
    "model.heads=2",
    "model.inner=64",
    "training.steps=14",
    "training.batch_tokens=160",
    "training.warmup=4",
    "training.evaluate_every=5",
    "evaluation.beams=1",
    "evaluation.pairs=4",
    "evaluation.max_new_tokens=8",
    "tracking.enabled=false",
    "threads=1",
)

ALL_OBJECTIVES = ("objectives=e2s2", "objectives.shuffle=0.1", "objectives.random=0.1")


def small(cache: Path, *overrides: str) -> Any:
    """A small pretraining in the folder `cache`."""
    from continual.pretraining.config import compose
    from continual.pretraining.session import Pretraining

    return Pretraining(compose("translation-tiny", [*SMALL, *overrides]), cache)


def numbers(summary: dict[str, Any]) -> dict[str, Any]:
    """All of a summary that must not depend on interruptions."""
    curve = [{name: value for name, value in entry.items() if name != "seconds"} for entry in summary["curve"]]
    return {name: value for name, value in summary.items() if name != "seconds"} | {"curve": curve}


def work(cache: str, overrides: tuple[str, ...]) -> None:
    """Makes a small model to its end; what a killed process was doing. Every step is kept."""
    import continual.pretraining.loop as loop
    from continual.progress import Progress

    loop._SECONDS_BETWEEN_CHECKPOINTS = 0.0
    small(Path(cache), *overrides).execute(Progress())


def die_in_checkpoint(cache: str, overrides: tuple[str, ...], number: int) -> None:
    """Works until half of checkpoint `number` is written, and is killed there."""
    import os
    import signal

    import safetensors.torch

    real, count = safetensors.torch.save_file, 0

    def half(tensors: Any, path: Any, metadata: Any = None) -> None:
        nonlocal count
        count += 1
        real(tensors, path, metadata=metadata)
        if count == number:
            os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    safetensors.torch.save_file = half
    work(cache, overrides)


def with_small_files(cache: str, size: int) -> None:
    """The command line where no file may have more than `size` bytes; exits with its code."""
    import resource
    import sys

    from continual.cli import main

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    sys.argv = ["continual", "pretrain", "translation-tiny", "--cache", cache, *SMALL]
    main()
