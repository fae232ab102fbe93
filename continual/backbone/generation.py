"""How a target is searched for."""

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from continual.construction import coerce_fields
from continual.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_KEPT = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
)
"""What a model's own settings of generation may decide: which tokens begin and end a target, and which are no text."""


def _setting(default: float | bool, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Decoding:
    """Greedy search or beam search, as `transformers` does it.

    Attributes:
        beams: How many targets are followed at a time.
        max_new_tokens: Length limit in tokens, end token included.
        length_penalty: Power of a target's length that divides its log-probability.
        early_stopping: Whether to stop as soon as there are as many finished targets as beams.
    """

    beams: int = _setting(1, "how many translations are followed at a time; 1 is greedy search")
    max_new_tokens: int = _setting(
        128, "length limit in tokens, end token included; less where the model has fewer positions left"
    )
    length_penalty: float = _setting(
        1.0,
        "with beams, a translation's log-probability is divided by its length to this power: more than 0 favours long "
        "ones, less than 0 short ones",
    )
    early_stopping: bool = _setting(False, "stop as soon as there are as many finished translations as beams")

    def __post_init__(self) -> None:
        coerce_fields(self, "decoding")
        if self.beams < 1 or self.max_new_tokens < 1:
            raise ConfigError(
                f"decoding.beams is {self.beams} and decoding.max_new_tokens {self.max_new_tokens}, expected at least "
                "1; change them."
            )

    def options(self, room: int) -> dict[str, Any]:
        """What `generate` must be told, where the model has `room` positions left."""
        options = {"num_beams": self.beams, "max_new_tokens": min(self.max_new_tokens, room), "do_sample": False}
        if self.beams > 1:
            options |= {"length_penalty": self.length_penalty, "early_stopping": self.early_stopping}
        return options


def searching(model: "PreTrainedModel") -> "PreTrainedModel":
    """A view of a model, with the same weights, that searches for targets by `Decoding` alone.

    `generate` fills whatever it is not told from the model's `generation_config.json`, and that of BART, for one,
    forbids to repeat three words and wants a least length. Such settings would decide translations without a word, and
    without a trace in a backbone's fingerprint.
    """
    from transformers import GenerationConfig

    view = copy.copy(model)
    view.generation_config = GenerationConfig(**{name: getattr(model.generation_config, name) for name in _KEPT})
    return view


def end_tokens(model: "PreTrainedModel", end: int | None) -> list[int]:
    """The tokens that end a target: the one that targets are taught to end with, and those that the model knows.

    The two differ in chat models, whose `generation_config.json` names the end of a turn.
    """
    known = model.generation_config.eos_token_id
    ends = {end, *(known if isinstance(known, list) else [known])}
    return sorted(ends - {None})
