"""A frozen encoder: tokens in, hidden states at any layer, one vector for each text out."""

import contextlib
import copy
import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from continual.backbone.blocks import FAMILIES
from continual.backbone.body import ActivationObserver, BlockwiseBody, Body, Perturbation, WholeModelBody
from continual.backbone.change import Change
from continual.backbone.offload import weights_of
from continual.backbone.products import quicken, slowed
from continual.backbone.texts import EncodedTexts
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

POOLINGS = ("mean", "cls")

# A token is rarely longer than a word; what lies beyond this many characters for each token kept cannot be seen.
_CHARACTERS_PER_TOKEN = 64
# Fewer in pairs, where the tokenizer's time grows with the square of what is cut off.
_TOKENISED_AT_ONCE = 1024

_CHARACTERS_PER_TOKEN_OF_PAIRS = 16
# Room for the special tokens of a pair and a few words.
SHORTEST = 8
# What changes the features but shows neither in the weights' shapes nor in their values.
_DECISIVE = ("num_attention_heads", "hidden_act", "activation", "layer_norm_eps")
# Its token ids depend on case folding, accents, merges and special tokens, none of which the vocabulary shows.
TRICKY = "Straße naïve ÉCOLE don't 3,14 #tag @user \u4f60\u597d \U0001f600 unbelievabilities"


class Encoder:
    """A frozen pretrained encoder with access to every layer.

    Args:
        model: A Hugging Face encoder (`AutoModel`). It is put in evaluation mode and its weights are frozen.
        tokenizer: Its tokenizer.
        name: The name shown in reports.
        pooling: How the vector of a text is made from its last states: `mean` over its tokens, or `cls`.
        max_length: Texts are cut after this many tokens.

    Attributes:
        width: Size of a hidden state.
        depth: Number of layers that can be entered one by one (1 for families that are run as a whole).
        positions: How many positions the model has for tokens.
        max_length: Texts are cut after this many tokens: what was asked for, or `positions` if that is less.
        exact: False where weights were rounded, see `quantized`.
        opening: How it was opened, see `open_backbone`; None where a program has made it in another way.
    """

    opening: dict[str, Any] | None = None

    def __init__(
        self,
        model: nn.Module,
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        pooling: str = "mean",
        max_length: int = 128,
    ) -> None:
        if pooling not in POOLINGS:
            raise BackboneError(f"backbone.pooling is {pooling!r}, expected one of {', '.join(POOLINGS)}.")
        if max_length < SHORTEST:
            raise BackboneError(f"backbone.max_length is {max_length}, expected at least {SHORTEST} tokens.")
        self.model = quicken(model).eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.pooling = pooling
        self.positions = positions(model)
        self.max_length = min(max_length, self.positions)
        self.exact = True
        self.body: Body = self._opened(model)

    def _opened(self, model: nn.Module) -> Body:
        """How the model's layers are run."""
        return BlockwiseBody(model) if self.family in FAMILIES else WholeModelBody(model)

    @property
    def family(self) -> str:
        """The model type as Hugging Face names it, such as `bert`."""
        return self.model.config.model_type

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return self.model.config.hidden_size

    @property
    def depth(self) -> int:
        """Number of layers that can be entered one by one."""
        return self.body.depth

    @property
    def stepwise(self) -> bool:
        """Whether every layer can be entered and changed; if not, the model is run as a whole."""
        return not isinstance(self.body, WholeModelBody)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over weights, shape, tokenizer, pooling and length: equal means equal features."""
        digest = hashlib.sha256()
        digest.update(json.dumps(self._about(), sort_keys=True).encode())
        digest.update(json.dumps(self.tokenizer.get_vocab(), sort_keys=True).encode())
        for name, tensor in weights_of(self.model):
            if name.startswith("pooler."):  # takes no part, and is drawn anew at each load where a checkpoint lacks it
                continue
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _about(self) -> dict[str, Any]:
        """What the fingerprint covers beside vocabulary and weights, JSON-able."""
        return {
            "family": self.family,
            "pooling": self.pooling,
            "max_length": self.max_length,
            "config": [getattr(self.model.config, name, None) for name in _DECISIVE],
            "tokens": self.tokenize([TRICKY]).ids.values.tolist(),
        }

    def quantized(self) -> "Encoder":
        """A copy for prediction whose linear layers compute in int8 (dynamic quantisation), on the CPU.

        It takes the same prompts and has the same fingerprint, though its text vectors turn by some degrees (MiniLM:
        cosine .91 to .97 with the original ones), so routing and probabilities change with them. Learners refuse to
        learn on it.
        """
        if any(value.is_meta for value in self.model.parameters()):
            raise BackboneError(
                f"The backbone {self.name!r} is partly on disk (backbone.memory_mb), and int8 needs all of it in "
                "memory; do without int8, or use a run whose config.yaml sets no such limit."
            )
        # An operator of torch that its successor (torchao) has not replaced for x86 CPUs yet.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # One scale for each output: with one for a whole matrix, MiniLM's text vectors turn by up to 39 degrees.
            kinds = {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
            plain = slowed(copy.deepcopy(self.model))
            model = torch.ao.quantization.quantize_dynamic(plain, kinds, dtype=torch.qint8, inplace=True)
        rounded = Encoder(model, self.tokenizer, self.name, self.pooling, self.max_length)
        rounded.fingerprint = self.fingerprint
        rounded.exact = False
        return rounded

    @property
    def characters_read(self) -> int:
        """How much of a single text is tokenised at all; what stands behind could hardly be within `max_length`."""
        return self.max_length * _CHARACTERS_PER_TOKEN

    def tokenize(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> EncodedTexts:
        """Token ids of `texts`, each followed by its second text where `pairs` are given, cut to `max_length`."""
        limit = self.characters_read if pairs is None else self.max_length * _CHARACTERS_PER_TOKEN_OF_PAIRS
        first = [_whole_characters(text[:limit]) for text in texts]
        second = None if pairs is None else [_whole_characters(text[:limit]) for text in pairs]
        if not first:
            return EncodedTexts.empty()
        # What the tokenizer gives holds far more of each text than its ids, so it is given some texts at a time.
        parts = [slice(start, start + _TOKENISED_AT_ONCE) for start in range(0, len(first), _TOKENISED_AT_ONCE)]
        return EncodedTexts.joined(
            [self._tokenize(first[part], None if second is None else second[part]) for part in parts]
        )

    def exceeds(self, text: str, pair: str | None = None) -> bool:
        """Whether a text, or a pair, has more than `max_length` tokens, so that its end is cut off."""
        if max(len(text), len(pair or "")) > self.characters_read:
            return True
        encoded = self.tokenizer(text, pair, truncation=True, max_length=self.max_length + 1, verbose=False)
        return len(encoded["input_ids"]) > self.max_length

    def _tokenize(self, first: list[str], second: list[str] | None) -> EncodedTexts:
        encoded = self.tokenizer(
            first,
            second,
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
            return_token_type_ids=True,
            verbose=False,
        )
        types = encoded["token_type_ids"] if second is not None and self._has_segments else None
        return EncodedTexts.from_lists(encoded["input_ids"], types, second is not None)

    @property
    def _has_segments(self) -> bool:
        return getattr(self.model.config, "type_vocab_size", 0) > 1

    def embed(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """States before the first layer, [batch, length, width]."""
        return self.body.embed(ids, mask, types)

    def run(
        self,
        hidden: Tensor,
        mask: Tensor,
        start: int = 0,
        stop: int | None = None,
        soft: int = 0,
        changes: Mapping[int, Change] | None = None,
    ) -> Tensor:
        """Runs layers `start` to `stop` (all that are left by default); see `Body.run` for the arguments."""
        stop = self.depth if stop is None else stop
        return self.body.run(hidden, mask, start, stop, soft, changes)

    @contextlib.contextmanager
    def observing(self, observer: ActivationObserver) -> Iterator[None]:
        """Within the context, `observer` is told each layer's number and feed-forward activations."""
        self.body.observer = observer
        try:
            yield
        finally:
            self.body.observer = None

    def perturbed(self, perturb: Perturbation) -> "Encoder":
        """This encoder, seen so that every layer's input goes through `perturb` first; it shares all weights.

        The original stays as it is, so nothing outside the caller's hands is perturbed.

        Raises:
            BackboneError: The layers cannot be entered one by one.
        """
        self.check_perturbed()
        seen = copy.copy(self)
        seen.body = copy.copy(self.body)
        seen.body.perturb = perturb
        return seen

    def check_perturbed(self) -> None:
        """Refuses to be `perturbed` where that cannot be done.

        Raises:
            BackboneError: The layers cannot be entered one by one.
        """
        if not self.stepwise:
            raise BackboneError(
                f"The backbone {self.name!r} of family {self.family!r} is run as a whole, so the inputs of its layers "
                f"cannot be perturbed; set training.hype=none or use one of the families {', '.join(FAMILIES)}."
            )

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """One vector for each text, [batch, width], from the last states of its own tokens (no soft tokens)."""
        return pooled(hidden, mask, self.pooling)

    @property
    def pad_token(self) -> int:
        """The id that fills up short texts in a batch."""
        return self.tokenizer.pad_token_id or 0


def pooled(hidden: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """One vector for each text, [batch, width]: the mean of its tokens' states, or the state of its first token.

    Args:
        hidden: States, [batch, length, width].
        mask: True where a position is real, [batch, length].
        pooling: `mean` or `cls`.
    """
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.to(hidden.dtype)
    return torch.einsum("bld,bl->bd", hidden, weights) / weights.sum(1, keepdim=True)


def positions(model: nn.Module) -> int:
    """How many tokens a text may have; RoBERTa's kin count positions from behind the one reserved for padding."""
    positions = getattr(model.config, "max_position_embeddings", None) or 1_000_000
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return positions if padding is None else positions - padding - 1


def _whole_characters(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can spell but no tokenizer reads."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
