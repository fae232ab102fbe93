"""The settings of a translation model that is pretrained; their help texts are written here once."""

from dataclasses import dataclass

from continual.errors import ConfigError
from continual.limits import above, at_least
from continual.pretraining.optimisation import setting

BOTH = "both"
"""The direction of a model that is told by a token which language to write."""


@dataclass(frozen=True)
class ModelConfig:
    """The vocabulary and the shape of the encoder-decoder."""

    vocabulary: int = setting(8000, "subwords that both languages share, at most; at least 300")
    width: int = setting(256, "width of the states")
    encoder_layers: int = setting(3, "layers of the encoder")
    decoder_layers: int = setting(3, "layers of the decoder")
    heads: int = setting(4, "attention heads of a layer")
    inner: int = setting(1024, "inner width of the feed-forward parts")
    dropout: float = setting(0.1, "dropout on embeddings and on the output of each part of a layer")
    max_length: int = setting(64, "pairs with a side of more tokens are left out of training")
    max_ratio: float = setting(3.0, "pairs whose lengths in tokens differ by a larger factor are left out")

    def __post_init__(self) -> None:
        for name in ("width", "encoder_layers", "decoder_layers", "heads", "inner"):
            at_least(1, getattr(self, name), f"model.{name}")
        at_least(300, self.vocabulary, "model.vocabulary")  # 256 bytes and the special tokens
        if self.width % self.heads or self.width % 2:
            raise ConfigError(
                f"model.width is {self.width}, expected an even multiple of model.heads ({self.heads}); change one."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout is {self.dropout}, expected at least 0 and below 1.")
        if self.max_length < 4 or self.max_ratio < 1:
            raise ConfigError("model.max_length has to be 4 or more and model.max_ratio 1 or more; raise them.")


@dataclass(frozen=True)
class ObjectivesConfig:
    """What is learned beside translating; with all noise at 0 nothing is."""

    reconstruction: float = setting(
        0.0, "share of the steps that restore infilled sentences of the target language (BART) instead of translating"
    )
    mask: float = setting(0.15, "share of the tokens that are masked in those steps")
    span: float = setting(3.0, "mean length of a masked span, in tokens")
    shuffle: float = setting(0.0, "centres of shuffled windows of three tokens, as a share of the tokens (E2S2: 0.05)")
    random: float = setting(0.0, "share of the tokens that are replaced by random ones (E2S2: 0.05)")
    second_view: bool = setting(
        False, "learn from the sentence without shuffled and random tokens as well, half and half"
    )
    detection: float = setting(0.0, "weight of telling original, shuffled and random tokens apart (E2S2: 0.05)")
    contrast: float = setting(0.0, "weight of the contrastive loss between the two views (E2S2: 0.05)")
    temperature: float = setting(1.0, "by which cosines are divided in the contrastive loss")

    def __post_init__(self) -> None:
        for name, highest in (("reconstruction", 1), ("mask", 1), ("shuffle", 1 / 3), ("random", 1)):
            if not 0 <= getattr(self, name) <= highest:
                raise ConfigError(
                    f"objectives.{name} is {getattr(self, name)}, expected at least 0 and at most {highest:.2g}."
                )
        for name in ("detection", "contrast"):
            at_least(0, getattr(self, name), f"objectives.{name}")
        for name in ("span", "temperature"):
            above(0, getattr(self, name), f"objectives.{name}")
        if (self.second_view or self.detection) and not self.is_noisy:
            raise ConfigError(
                "objectives.second_view and objectives.detection need noise; set objectives.shuffle or "
                "objectives.random above 0."
            )
        if self.contrast and not self.second_view:
            raise ConfigError("objectives.contrast compares two views; add objectives.second_view=true.")

    @property
    def is_noisy(self) -> bool:
        """Whether tokens are shuffled or replaced."""
        return self.shuffle + self.random > 0


@dataclass(frozen=True)
class EvaluationConfig:
    """How the finished model is scored on held-out text."""

    bleu: bool = setting(True, "translate held-out text and score it by sacreBLEU")
    pairs: int = setting(100, "held-out pairs of each domain that are translated")
    beams: int = setting(4, "width of the beam search, which the finished model also uses by default")
    max_new_tokens: int = setting(96, "longest translation, in tokens, also by default")

    def __post_init__(self) -> None:
        for name in ("pairs", "beams", "max_new_tokens"):
            at_least(1, getattr(self, name), f"evaluation.{name}")


@dataclass(frozen=True)
class Direction:
    """From which language into which.

    Attributes:
        name: `en-de`, `de-en` or `both`.
        languages: The two languages, as the pool's columns are called.
    """

    name: str
    languages: tuple[str, str]

    def __post_init__(self) -> None:
        first, second = self.languages
        known = (f"{first}-{second}", f"{second}-{first}", BOTH)
        if first == second or not (first and second):
            raise ConfigError(f"languages is [{first}, {second}], expected two different names such as [en, de].")
        if self.name not in known:
            raise ConfigError(f"direction is {self.name!r}, expected one of {', '.join(known)}.")

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """The (source, target) languages that are learned."""
        first, second = self.languages
        if self.name == BOTH:
            return (first, second), (second, first)
        return ((first, second),) if self.name == f"{first}-{second}" else ((second, first),)

    @property
    def is_told(self) -> bool:
        """Whether a token before the source says which language to write."""
        return self.name == BOTH
