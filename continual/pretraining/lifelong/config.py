"""The settings of lifelong pretraining; their help texts are written here once."""

from dataclasses import dataclass

from continual.errors import ConfigError
from continual.limits import above, at_least, set_otherwise
from continual.pretraining.lifelong import OBJECTIVES
from continual.pretraining.optimisation import PRECISIONS, SCHEDULES, OptimisationConfig, setting
from continual.registry import suggestion

MASKED, CAUSAL = "masked", "causal"
PROMPTS = ("none", "token", "text")
DISTILLATIONS = ("none", "memory", "all")


@dataclass(frozen=True)
class ModelConfig:
    """The model that is pretrained: one at hand, or a new one of these sizes."""

    kind: str = setting(MASKED, "masked (an encoder that restores tokens) or causal (it tells the next token)")
    path: str | None = setting(None, "folder, hub name or `minilm`; null: a new model with random weights")
    max_length: int = setting(128, "longer texts are cut into windows of so many tokens, special ones included")
    head_steps: int = setting(500, "steps that train a masked-LM head alone, where the model comes without one")
    head_rate: float | None = setting(
        0.001, "peak learning rate of that training; null: training.learning_rate, which a body at hand wants lower"
    )
    vocabulary: int = setting(4000, "subwords of a new model, from the texts of the first domain; at least 300")
    width: int = setting(128, "width of a new model's states")
    layers: int = setting(2, "its layers")
    heads: int = setting(2, "attention heads of a layer")
    inner: int = setting(512, "inner width of the feed-forward parts")
    dropout: float = setting(0.1, "dropout of a new model")

    def __post_init__(self) -> None:
        _choice("model.kind", self.kind, (MASKED, CAUSAL))
        for name in ("head_steps", "width", "layers", "heads", "inner"):
            at_least(1, getattr(self, name), f"model.{name}")
        for name, least in (("max_length", 8), ("vocabulary", 300)):  # 256 bytes and the special tokens
            at_least(least, getattr(self, name), f"model.{name}")
        if self.width % self.heads:
            raise ConfigError(
                f"model.width is {self.width}, expected a multiple of model.heads ({self.heads}); change one."
            )
        _share("model", self, "dropout")
        if self.head_rate is not None and not self.head_rate > 0:
            raise ConfigError(f"model.head_rate is {self.head_rate}, expected a number above 0, or null.")


@dataclass(frozen=True)
class StrategyConfig:
    """How a domain is learned and the earlier ones are kept."""

    objective: str = setting("auto", "what is learned from a text; auto: masked or causal, as the model is")
    mask: float = setting(0.15, "share of the tokens that are masked at random")
    hard: float = setting(0.1, "self_evolution: tokens that cost the model more nats than this are hard")
    hard_limit: float | None = setting(
        0.3,
        "self_evolution: at most this share of a text is masked, the hardest first; null: all, as published",
    )
    smoothing: float = setting(0.1, "self_evolution: weight of the model's own prediction in the target")
    prompt: str = setting("none", "token: a learned symbol for each domain (ELLE); text: the domain's name; or none")
    prompt_length: int = setting(1, "symbols of a prompt of tokens")
    replay: float = setting(0.0, "share of the tokens of a step that the memory of past domains takes (ELLE: 0.1)")
    memory: int = setting(20000, "tokens that are kept of each domain")
    distillation: str = setting("none", "on which texts the model before the domain teaches: memory, all or none")
    temperature: float = setting(2.0, "by which the logits of teacher and student are divided")
    expansion: str | None = setting(None, "how the model grows before each domain but the first; null: it does not")
    added_layers: int = setting(1, "layers that an expansion adds each time")
    added_width: int = setting(0, "units that it adds to hidden states; heads and feed-forward units follow")
    added_inner: int = setting(0, "feed-forward units that it adds to each layer beside")
    recovery: int = setting(0, "steps on the memory after an expansion, before the new domain is read")

    def __post_init__(self) -> None:
        _choice("strategy.objective", self.objective, ("auto", *OBJECTIVES.names()))
        _choice("strategy.prompt", self.prompt, PROMPTS)
        _choice("strategy.distillation", self.distillation, DISTILLATIONS)
        for name in ("mask", "replay"):
            _share("strategy", self, name)
        for name in ("hard_limit", "smoothing"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"strategy.{name} is {value}, expected at least 0 and at most 1.")
        for name, least in (("prompt_length", 1), ("memory", 1), ("recovery", 0), ("hard", 0)):
            at_least(least, getattr(self, name), f"strategy.{name}")
        if not self.mask > 0 or not self.temperature > 0:
            raise ConfigError("strategy.mask and strategy.temperature have to be above 0; raise them.")
        if self.distillation == "memory" and not self.replay:
            raise ConfigError(
                "strategy.distillation=memory teaches on replayed texts, but there are none; set strategy.replay above "
                "0 or strategy.distillation=all."
            )
        if not self.expansion:
            self._check_no_growth()

    def _check_no_growth(self) -> None:
        """Refuses what an expansion would read where there is none."""
        for name, default in set_otherwise(self, ("added_layers", "added_width", "added_inner", "recovery")):
            raise ConfigError(
                f"strategy.{name} belongs to an expansion; set strategy.expansion=NAME or strategy.{name}={default}."
            )

    def objective_for(self, kind: str) -> str:
        """The name of the objective for a model of this kind.

        Raises:
            ConfigError: The model cannot learn by it.
        """
        name = {MASKED: "masked", CAUSAL: "causal"}[kind] if self.objective == "auto" else self.objective
        if (name == "causal") != (kind == CAUSAL):
            raise ConfigError(
                f"strategy.objective is {name!r}, which a {kind} model cannot learn by; take strategy.objective=auto "
                f"or model.kind={CAUSAL if name == 'causal' else MASKED}."
            )
        return name


@dataclass(frozen=True)
class BudgetConfig:
    """How long and how fast each domain is learned (AdamW, betas 0.9 and 0.98)."""

    steps: int = setting(500, "steps for each domain")
    batch_tokens: int = setting(2048, "tokens of a step, padding included")
    learning_rate: float = setting(0.001, "peak learning rate; it rises and falls anew in each domain")
    schedule: str = setting("cosine", "course of the rate: cosine, or inverse_sqrt with a final cool-down")
    warmup: int = setting(40, "steps over which the rate rises")
    cooldown: float = setting(0.2, "last share of the steps, over which inverse_sqrt falls linearly to 0")
    clip_norm: float = setting(1.0, "largest norm of the gradient; 0 does not clip")
    weight_decay: float = setting(0.01, "decoupled weight decay")
    precision: str = setting("auto", "fp32, bf16 (autocast), or auto: bf16 on a GPU, fp32 on a CPU")
    evaluate_every: int = setting(100, "steps between two looks at the held-out text of the domains learned so far")

    def __post_init__(self) -> None:
        for name in ("steps", "batch_tokens", "warmup", "evaluate_every"):
            at_least(1, getattr(self, name), f"training.{name}")
        for name in ("clip_norm", "weight_decay"):
            at_least(0, getattr(self, name), f"training.{name}")
        above(0, self.learning_rate, "training.learning_rate")
        _share("training", self, "cooldown")
        _choice("training.schedule", self.schedule, SCHEDULES)
        _choice("training.precision", self.precision, PRECISIONS)

    def optimisation(self, steps: int, rate: float | None = None) -> OptimisationConfig:
        """What the training loop is given for a training of `steps` steps, at another peak `rate` if given."""
        return OptimisationConfig(
            steps=steps,
            batch_tokens=self.batch_tokens,
            learning_rate=rate or self.learning_rate,
            schedule=self.schedule,
            warmup=min(self.warmup, steps),
            cooldown=self.cooldown,
            clip_norm=self.clip_norm,
            weight_decay=self.weight_decay,
            label_smoothing=0.0,
            precision=self.precision,
            evaluate_every=self.evaluate_every,
        )


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}{suggestion(value, known)}, expected one of {', '.join(known)}.")


def _share(section: str, config: object, name: str) -> None:
    value = getattr(config, name)
    if not 0 <= value < 1:
        raise ConfigError(f"{section}.{name} is {value}, expected at least 0 and below 1.")
