"""What encoder-decoders and causal models share: both turn a source text into a target text."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from continual.backbone.body import Body
from continual.backbone.encoder import SHORTEST, TRICKY, Encoder
from continual.backbone.generation import Decoding, end_tokens
from continual.backbone.parallel import Parallel
from continual.backbone.readers import Reader
from continual.backbone.steering import UNSTEERED, Steering
from continual.backbone.texts import EncodedTexts, Ragged, by_length
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What changes the numbers but shows neither in the weights' shapes nor in their values.
_DECISIVE = (
    "num_attention_heads",
    "num_key_value_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "hidden_act",
    "activation_function",
    "feed_forward_proj",
    "layer_norm_epsilon",
    "rms_norm_eps",
    "rope_parameters",
    "relative_attention_num_buckets",
    "relative_attention_max_distance",
    "scale_embedding",
    "scale_decoder_outputs",
    "scale_attn_weights",
    "scale_attn_by_inverse_layer_idx",
    "decoder_start_token_id",
    "eos_token_id",
)

_CHARACTER = 4
"""Tokens of the longest character, where tokens are bytes: the least room for a source."""


class TextToText(Encoder, ABC):
    """A frozen generative model. As an `Encoder` it is the stack of layers that reads the source.

    Args:
        model: A Hugging Face model with its language model head. It is put in evaluation mode and frozen.
        tokenizer: Its tokenizer.
        name: The name shown in reports.
        max_length: Sources are cut after this many tokens.
        max_target: Targets that are learned are cut after this many tokens, end token included.
        prefix: What stands before every source, such as the instruction that a T5 was trained with.
    """

    readers: ClassVar[dict[str, type[Reader]]]
    """How each family reads, by its model type."""

    kind: ClassVar[str]
    """What these models are called."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        max_length: int = 128,
        max_target: int = 128,
        prefix: str = "",
    ) -> None:
        if max_target < SHORTEST:
            raise BackboneError(f"backbone.max_target is {max_target}, expected at least {SHORTEST} tokens.")
        super().__init__(model, tokenizer, name, "mean", max_length)
        self.max_target = min(max_target, self.positions)
        self.prefix = prefix

    @property
    def prefix(self) -> str:
        """What stands before every source.

        Raises:
            BackboneError: When it is set to one that leaves no room for a source.
        """
        return self._prefix

    @prefix.setter
    def prefix(self, prefix: str) -> None:
        if prefix:
            taken, room = len(self.tokenizer(prefix, verbose=False)["input_ids"]), self.source_room
            if taken > room - _CHARACTER:
                raise BackboneError(
                    f"backbone.prefix is {prefix!r}, which takes {taken} of the {room} tokens that are read of a "
                    "source; set a shorter one, or a larger backbone.max_length."
                )
        self._prefix = prefix

    def _opened(self, model: nn.Module) -> Body:
        if self.family not in self.readers:
            raise BackboneError(
                f"The backbone {self.name!r} is of family {self.family!r}, expected {self.kind} of one of the families "
                f"{', '.join(self.readers)}; choose such a model."
            )
        return self.readers[self.family](model)

    def copied(self) -> "TextToText":
        """The same backbone with weights of its own, which may be trained."""
        twin = copy.copy(self)
        # What was worked out for these weights is not that of the copy's.
        for name in ("fingerprint", "decoder"):
            twin.__dict__.pop(name, None)
        twin.model = copy.deepcopy(self.model)
        twin.body = twin._opened(twin.model)
        return twin

    def tokenize(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> EncodedTexts:
        """See `Encoder.tokenize`; every source stands behind `prefix`."""
        return super().tokenize([f"{self.prefix}{text}" for text in texts] if self.prefix else texts, pairs)

    def fits(self, text: str) -> bool:
        """Whether all of a source is read, and nothing of it cut off."""
        whole = f"{self.prefix}{text}"
        if len(whole) > self.characters_read:
            return False
        ids = self.tokenizer(whole, return_attention_mask=False, verbose=False)["input_ids"]
        return len(ids) <= self.source_room

    def exceeds(self, text: str, pair: str | None = None) -> bool:
        """See `Encoder.exceeds`: as a source, behind the prefix."""
        return not self.fits(text) if pair is None else super().exceeds(f"{self.prefix}{text}", pair)

    @property
    def source_room(self) -> int:
        """How many tokens of a source are read, those that the tokenizer puts around it included."""
        return self.max_length

    @property
    def end_tokens(self) -> list[int]:
        """The tokens that end what is written."""
        return end_tokens(self.model, self.tokenizer.eos_token_id)

    def check_writing(self, steering: Steering) -> None:
        """Refuses a prompt under which nothing can be written.

        Raises:
            BackboneError: It is such a prompt.
        """

    def tokenize_targets(self, texts: Sequence[str]) -> Ragged:
        """Token ids of targets with the end token, which targets that are cut to `max_target` lack."""
        return Ragged.from_lists([self._cut(ids) for ids in self._whole_targets(texts)] if texts else [])

    def fits_target(self, text: str) -> bool:
        """Whether all of a target is learned, and nothing of it cut off."""
        return len(self._whole_targets([text])[0]) <= self.max_target

    @abstractmethod
    def _whole_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of targets of any length, with all that the family puts around one; at least one text."""

    def _cut(self, ids: list[int]) -> list[int]:
        """The beginning of a target that is longer than `max_target`."""
        return ids[: self.max_target]

    @abstractmethod
    def parallel(self, sources: EncodedTexts, targets: Ragged) -> Parallel:
        """Pairs of source and target; one target for each source."""

    def parallel_texts(self, sources: Sequence[str], targets: Sequence[str]) -> Parallel:
        """The same of texts."""
        return self.parallel(self.tokenize(sources), self.tokenize_targets(targets))

    @abstractmethod
    def logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """Logits of each target token given the source and the target tokens before it.

        Args:
            hidden: States before layer `steering.entry` of what is read (see `Parallel.batch` and `below`), [batch,
                length, width].
            mask: True where a position is real, [batch, length].
            targets: Target ids, [batch, target length], `likelihood.IGNORED` behind.
            steering: What a prompt does.

        Returns:
            [batch, target length, vocabulary]; meaningless behind a target's end.
        """

    @abstractmethod
    def token_logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """The logits of the real target tokens of a batch, one pair's behind the other's; see `logits`.

        Over a large vocabulary logits are most of the memory and of a small model's time, so none are computed for the
        padding.

        Returns:
            [target tokens, vocabulary].
        """

    @abstractmethod
    def label_log_probs(
        self, ids: Tensor, mask: Tensor, labels: Ragged, steering: Steering = UNSTEERED, normalised: bool = True
    ) -> Tensor:
        """How probable each label's text is as the target of each source.

        Args:
            ids: Token ids of the sources, [batch, length].
            mask: True where a token is real, [batch, length].
            labels: The labels' texts, from `tokenize_targets`.
            steering: What a prompt does.
            normalised: Divide each log-probability by the number of the label's tokens, end token included.

        Returns:
            Log-probabilities, [batch, labels], with gradients.
        """

    @abstractmethod
    def generate(
        self, ids: Tensor, mask: Tensor, decoding: Decoding | None = None, steering: Steering = UNSTEERED
    ) -> Tensor:
        """Writes a target for each source.

        Args:
            ids: Token ids of the sources, [batch, length].
            mask: True where a token is real, [batch, length].
            decoding: How targets are searched for; greedily by default.
            steering: What a prompt does.

        Returns:
            The new tokens, [batch, longest], with the end token and padding behind it.
        """

    def below(self, ids: Tensor, mask: Tensor, entry: int = 0) -> Tensor:
        """States before layer `entry`, which no prompt that enters there changes, [batch, length, width]."""
        with torch.no_grad():
            return self.run(self.embed(ids, mask), mask, stop=entry)

    def read_steered(self, hidden: Tensor, mask: Tensor, steering: Steering) -> tuple[Tensor, Tensor, int]:
        """Runs the layers from `steering.entry` on under a prompt.

        Returns:
            The last states [batch, soft + length, width], their mask, and the number of soft positions.
        """
        hidden, mask, soft = steering.enter(hidden, mask)
        return self.run(hidden, mask, steering.entry, soft=soft, changes=steering.changes), mask, soft

    def write(
        self,
        texts: Sequence[str],
        decoding: Decoding | None = None,
        steering: Steering = UNSTEERED,
        batch: int = 32,
    ) -> list[str]:
        """The targets of source texts, in their order, without special tokens.

        Args:
            texts: The sources; what is longer than the model reads is cut off (`translator.plain` divides it instead).
            decoding: How targets are searched for; greedily by default.
            steering: What one prompt does to all texts, or one prompt for each text.
            batch: How many sources of like length are taken at a time.
        """
        encoded = self.tokenize(texts)
        results = [""] * len(texts)
        for rows in by_length(encoded.ids.lengths, batch):
            ids, mask, _ = encoded.batch(rows, self.pad_token)
            ids, mask = (tensor.to(self.model.device) for tensor in (ids, mask))
            written = self.generate(ids, mask, decoding, steering.take(rows))
            for row, text in zip(rows.tolist(), self.decoded(written), strict=True):
                results[row] = text
        return results

    def decoded(self, ids: Tensor) -> list[str]:
        """Texts of target ids [batch, length], without special tokens."""
        return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def quantized(self) -> Encoder:
        """See `Encoder.quantized`.

        Raises:
            BackboneError: Always: int8 is for encoders.
        """
        raise BackboneError(
            f"The backbone {self.name!r} is {self.kind}, and int8 is for encoders alone; do without int8."
        )

    def _about(self) -> dict[str, Any]:
        config = self.model.config
        return super()._about() | {
            "max_target": self.max_target,
            "text_to_text": [getattr(config, name, None) for name in _DECISIVE],
            "target_tokens": self.tokenize_targets([TRICKY]).values.tolist(),
        }


def unfreeze(model: nn.Module) -> nn.Module:
    """The model, all of whose weights may be trained; positions that are computed (Marian's sines) are no weights."""
    model.requires_grad_(True)
    for module in model.modules():
        if "Sinusoidal" in type(module).__name__:
            module.requires_grad_(False)
    return model
