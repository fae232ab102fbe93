"""How a target is searched for."""

from dataclasses import dataclass
from typing import Any

from continual.errors import ConfigError


@dataclass(frozen=True)
class Decoding:
    """Greedy search or beam search, as `transformers` does it.

    Attributes:
        beams: How many targets are followed at a time; 1 is greedy search.
        max_new_tokens: Length limit in tokens, end token included; less where the model has fewer positions left.
        length_penalty: With beams, the log-probability of a target is divided by its length to this power: more than 0
            favours long targets, less than 0 short ones.
        early_stopping: Stop as soon as there are as many finished targets as beams.
    """

    beams: int = 1
    max_new_tokens: int = 128
    length_penalty: float = 1.0
    early_stopping: bool = False

    def __post_init__(self) -> None:
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
