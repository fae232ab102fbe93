"""What a grid is to measure: tasks, seeds and the configuration of each seed."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from continual.config import RunConfig, compose
from continual.errors import ConfigError

PLAIN = ("readout.layers=none", "readout.terms=0", "training.head_learning_rate=0.001", "training.warmup=0")
"""Plain prompt tuning, as in PANDA's study: nothing but the prompt and a classifier on top of it. The classifier has no
ground to build on, so it learns faster than usual, and the first epoch counts, so nothing is warmed up. What a user
says about the same settings comes first."""


@dataclass(frozen=True)
class Plan:
    """A grid to be measured.

    Attributes:
        sources: Names of the source tasks; none for all tasks of the stream.
        targets: Names of the target tasks; none for all tasks of the stream.
        configs: The configuration of each seed.
        examples: Largest number of training texts of a task; None for all of them.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    configs: dict[int, RunConfig]
    examples: int | None


def plan_grid(
    name: str,
    overrides: Sequence[str] = (),
    sources: Sequence[str] = (),
    targets: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    examples: int | None = 200,
) -> Plan:
    """Composes the configurations of a grid.

    Args:
        name: An experiment, a stream or a YAML file, as for a run.
        overrides: Settings such as `tuning=late`; `PLAIN` holds for those that are not mentioned.
        sources: Names of the source tasks; all by default.
        targets: Names of the target tasks; all by default.
        seeds: Each decides splits, prompts and batches of one repetition.
        examples: Largest number of training texts of a task, sampled by class, whatever the stream's own cap is; None
            for all of them.

    Raises:
        ConfigError: A setting is refused or is given to a grid by an option, or a seed or the number of examples is
            out of range.
    """
    given = {item.partition("=")[0].lstrip("+") for item in overrides}
    if "seed" in given:
        raise ConfigError("A grid is measured with several seeds; give them as --seeds 0,1,2 instead of seed=N.")
    if "stream.max_train" in given:
        raise ConfigError(
            "A grid caps the training texts of a task itself; give --examples N, or 0 for all, instead of "
            "stream.max_train."
        )
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise ConfigError(f"The seeds are {list(seeds)}, expected different whole numbers from 0 on, such as 0,1,2.")
    if examples is not None and examples < 2:
        raise ConfigError(f"The number of examples is {examples}, expected at least 2, or --examples 0 for all.")
    plain = [item for item in PLAIN if item.partition("=")[0] not in given]
    configs = {seed: _capped(compose(name, [*plain, *overrides, f"seed={seed}"]), examples) for seed in seeds}
    method = configs[seeds[0]].learner.method["name"]
    if method != "panda":
        raise ConfigError(
            f"The method is {method!r}, but a grid compares vanilla transfer and panda; leave method out."
        )
    return Plan(tuple(sources), tuple(targets), configs, examples)


def _capped(config: RunConfig, examples: int | None) -> RunConfig:
    """The configuration with no more than so many training texts of a task; None lifts the stream's own cap as well."""
    if examples is None and config.stream.get("max_train") is None:
        return config
    stream = {**config.stream, "max_train": examples}
    return dataclasses.replace(config, stream=stream, resolved={**config.resolved, "stream": stream})
