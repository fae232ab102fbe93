"""Lifelong pretraining: open the model, learn domain after domain, score all of them after each."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from continual._torchvision import declare_missing_operators
from continual.backbone.kept import digest_of
from continual.construction import coerced, typed
from continual.errors import ConfigError
from continual.making.recipe import Made, Place
from continual.pretraining.lifelong.config import BudgetConfig, ModelConfig, StrategyConfig
from continual.pretraining.lifelong.domains import Domains

_REVISION = 2
"""Raised when the same settings come to mean another model: since 2, replay is a share of tokens."""


@dataclass(frozen=True)
class LifelongRecipe:
    """See `continual.making.recipe.Recipe`.

    Attributes:
        stream: The text domains, as `streams.build_stream` takes them.
        model: Which model.
        strategy: How a domain is learned and the earlier ones are kept.
        training: Budget and rates for each domain.
        seed: Decides all that is random.
    """

    stream: dict[str, Any]
    model: ModelConfig
    strategy: StrategyConfig
    training: BudgetConfig
    seed: int

    sections = ("stream", "model", "strategy", "training", "seed")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> "LifelongRecipe":
        """See `Recipe.parse`."""
        from continual.pretraining.lifelong.expansion import Expanding

        stream = settings.get("stream")
        if not isinstance(stream, Mapping):
            raise ConfigError(
                f"stream is {stream!r}, expected the settings of a stream; set stream=NAME of configs/pretrain/stream."
            )
        recipe = cls(
            stream=dict(stream),
            model=typed(ModelConfig, settings.get("model"), "model"),
            strategy=typed(StrategyConfig, settings.get("strategy"), "strategy"),
            training=typed(BudgetConfig, settings.get("training"), "training"),
            seed=coerced(settings.get("seed", 0), int, "seed"),
        )
        recipe.strategy.objective_for(recipe.model.kind)
        if recipe.strategy.expansion:
            Expanding.of(recipe.strategy)
        return recipe

    @cached_property
    def domains(self) -> Domains:
        """The text domains; read when they are first asked for."""
        return Domains(self.stream, self.seed)

    @property
    def parts(self) -> tuple[str, ...]:
        """See `Recipe.parts`."""
        return ("model", *self.domains.names)

    def identity(self) -> dict[str, Any]:
        """See `Recipe.identity`: the texts and the model's files in the place of their paths."""
        model = asdict(self.model)
        folder = None if self.model.path is None else Path(self.model.path).expanduser()
        if folder is not None and folder.is_dir():
            model["path"] = digest_of(folder)
        return {
            "revision": _REVISION,
            "domains": [[name, self.domains.digest[name]] for name in self.domains.names],  # their order matters
            "model": model,
            "strategy": asdict(self.strategy),
            "training": asdict(self.training),
            "seed": self.seed,
        }

    def make(self, place: Place) -> Made:
        """See `Recipe.make`."""
        declare_missing_operators()
        from transformers.utils import logging

        from continual.pretraining.lifelong.lifelong import Lifelong

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        lifelong = Lifelong(self, place)
        lifelong.begin()
        for name in self.domains.names[len(lifelong.state.learned) :]:
            lifelong.learn(name)
        seconds = sum(training["seconds"] for training in lifelong.state.trainings)
        total = max(seconds, time.monotonic() - place.started)
        return Made(lifelong.save, lifelong.summary(round(seconds, 1), round(total, 1)))
