"""Runs of benchmarks: begun once, continued where they were stopped, and not run again when they are finished."""

from pathlib import Path

from continual.config import RunConfig
from continual.evaluation.summary import Summary, load_summary
from continual.progress import Progress
from continual.run import Run


def opened(path: Path, config: RunConfig) -> Run:
    """The run in a folder, which is begun if there is none.

    Raises:
        SystemExit: The run there has other settings.
    """
    run = Run(path) if (path / "config.yaml").exists() else Run.create(path, config)
    if run.config.resolved != config.resolved:
        raise SystemExit(f"{path} was run with other settings; choose another --runs-dir or delete it.")
    return run


def finished(path: Path, config: RunConfig) -> Summary:
    """What a run has measured, once it is at its end.

    Args:
        path: Its folder.
        config: Its settings.
    """
    opened(path, config).execute(Progress())
    return load_summary(path)
