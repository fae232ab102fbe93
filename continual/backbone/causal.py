"""A frozen causal model: source and target are one text, read from left to right."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from continual.backbone.generation import Decoding, searching
from continual.backbone.injection import acting
from continual.backbone.likelihood import IGNORED, target_log_probs
from continual.backbone.parallel import Parallel, appended, moved_together
from continual.backbone.readers import CAUSAL_READERS, READER, CausalReader
from continual.backbone.steering import UNSTEERED, Steering
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import EncodedTexts, Ragged
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Causal(TextToText):
    """A frozen causal model of one of the families GPT-2 and Llama.

    As an `Encoder` it is all of the model's layers, and a text's vector is the mean of its last states.

    Args:
        model: See `TextToText`.
        tokenizer: See `TextToText`.
        name: See `TextToText`.
        max_length: Sources are cut after this many tokens, `between` included; less where the model has no positions
            for them and a target.
        max_target: Targets are cut after this many tokens, end token included, or half of the model's positions.
        between: What stands between a source and its target, and between the two texts of a pair.
        prefix: What stands before every source.
    """

    readers = CAUSAL_READERS
    kind = "a causal model"
    body: CausalReader

    def __init__(
        self,
        model: nn.Module,
        tokenizer: "PreTrainedTokenizerBase",
        name: str,
        max_length: int = 128,
        max_target: int = 128,
        between: str = "\n",
        prefix: str = "",
    ) -> None:
        super().__init__(model, tokenizer, name, max_length, max_target)
        self.between = between
        self._between = tokenizer(between, add_special_tokens=False)["input_ids"]
        if not self._between or tokenizer.eos_token_id is None:
            raise BackboneError(
                f"backbone.between is {between!r} and the end token {tokenizer.eos_token!r}, expected a text of "
                "at least one token and a tokenizer with an end token; change one of them."
            )
        self.max_target = min(self.max_target, self.positions // 2)
        self.max_length = min(self.max_length, self.positions - self.max_target)
        if self.max_length <= len(self._between):
            raise BackboneError(
                f"backbone.between has {len(self._between)} tokens, expected fewer than the {self.max_length} of a "
                "source; set a shorter one."
            )
        self.prefix = prefix  # now that it is known how much room there is

    def exceeds(self, text: str, pair: str | None = None) -> bool:
        """See `Encoder.exceeds`: what stands between source and target takes its part."""
        return not self.fits(text if pair is None else f"{text}{self.between}{pair}")

    def _tokenize(self, first: list[str], second: list[str] | None) -> EncodedTexts:
        if second is not None:
            first = [f"{one}{self.between}{other}" for one, other in zip(first, second, strict=True)]
        room = self.source_room
        encoded = self.tokenizer(first, truncation=True, max_length=room, return_attention_mask=False, verbose=False)
        rows = [[*ids, *self._between] for ids in encoded["input_ids"]]
        return EncodedTexts(Ragged.from_lists(rows), None, second is not None)

    def _whole_targets(self, texts: Sequence[str]) -> list[list[int]]:
        options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        encoded = self.tokenizer(list(texts), **options)
        return [[*ids, self.tokenizer.eos_token_id] for ids in encoded["input_ids"]]

    def parallel(self, sources: EncodedTexts, targets: Ragged) -> Parallel:
        """See `TextToText.parallel`."""
        texts = EncodedTexts(appended(sources.ids, targets), None, sources.pairs)
        return Parallel(texts, targets, texts.ids.lengths)

    def logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """See `TextToText.logits`; the padding of what is read may be on either side."""
        return self.model.get_output_embeddings()(self._before_targets(hidden, mask, targets, steering))

    def token_logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """See `TextToText.token_logits`; the padding of what is read may be on either side."""
        states = self._before_targets(hidden, mask, targets, steering)
        return self.model.get_output_embeddings()(states[targets != IGNORED])

    def _before_targets(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering) -> Tensor:
        """The last state before each target token, [batch, target length, width]; any behind a target's end."""
        self._refuse_decoder(steering)
        states, _, soft = self.read_steered(hidden, mask, steering)
        ends = mask.long().argmax(1) + mask.sum(1)  # one past the last real position
        first = ends - (targets != IGNORED).sum(1) - 1
        places = first[:, None] + torch.arange(targets.shape[1], device=targets.device)
        places = soft + torch.minimum(places, ends[:, None] - 1)
        return states.gather(1, places[..., None].expand(-1, -1, states.shape[2]))

    def label_log_probs(
        self, ids: Tensor, mask: Tensor, labels: Ragged, steering: Steering = UNSTEERED, normalised: bool = True
    ) -> Tensor:
        """See `TextToText.label_log_probs`; every source is read with each label behind it."""
        count = len(labels)
        own, real = labels.batch(torch.arange(count), self.pad_token)
        whole = torch.cat([ids.repeat_interleave(count, dim=0), own.repeat(len(ids), 1)], dim=1)
        visible = torch.cat([mask.repeat_interleave(count, dim=0), real.repeat(len(ids), 1)], dim=1)
        whole, visible = moved_together(whole, visible, right=False)
        targets = own.masked_fill(~real, IGNORED).repeat(len(ids), 1)
        hidden = self.below(whole, visible, steering.entry)
        logits = self.logits(hidden, visible, targets, steering.repeat(count))
        return target_log_probs(logits, targets, normalised).view(len(ids), count)

    @torch.no_grad()
    def generate(
        self, ids: Tensor, mask: Tensor, decoding: Decoding | None = None, steering: Steering = UNSTEERED
    ) -> Tensor:
        """See `TextToText.generate`; the padding of the sources may be on either side.

        Raises:
            BackboneError: Nothing can be written under the prompt, see `check_writing`.
        """
        self.check_writing(steering)
        decoding = decoding or Decoding()
        hidden, visible, positions = self._prompted(ids, mask, steering)
        room = self.positions - int(mask.sum(1).max())
        with acting(READER, steering.repeat(decoding.beams).changes):
            return searching(self.model).generate(
                inputs_embeds=hidden,
                attention_mask=visible.long(),
                position_ids=positions,
                pad_token_id=self._filler,
                eos_token_id=self.end_tokens or None,
                **decoding.options(room),
            )

    @property
    def source_room(self) -> int:
        """See `TextToText.source_room`; what stands between source and target takes its part."""
        return self.max_length - len(self._between)

    def check_writing(self, steering: Steering) -> None:
        """See `TextToText.check_writing`: soft tokens above the first layer are refused, and changes of a decoder."""
        self._refuse_decoder(steering)
        if steering.soft is not None and steering.entry > 0:
            raise BackboneError(
                f"The backbone {self.name!r} is a causal model, which writes only with soft tokens at its input, but "
                f"they enter before layer {steering.entry}; use tuning=input, "
                "or tuning=deep for a prompt in upper layers."
            )

    def _prompted(self, ids: Tensor, mask: Tensor, steering: Steering) -> tuple[Tensor, Tensor, Tensor]:
        """What the model is given: soft tokens and words [batch, length, width] to the right, mask, and positions."""
        hidden, visible, soft = steering.enter(self.body.words(ids), mask)
        leading = visible[:, :soft].sum(1, keepdim=True)
        positions = self.body.positions(visible, leading)
        if soft:
            vectors = self.body.placed(hidden[:, :soft], positions[:, :soft])
            hidden = torch.cat([vectors, hidden[:, soft:]], dim=1)
        hidden, visible = moved_together(hidden, visible, right=True)
        return hidden, visible, self.body.positions(visible, leading)

    @property
    def _filler(self) -> int:
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    def _refuse_decoder(self, steering: Steering) -> None:
        if steering.decoder:
            raise BackboneError(
                f"The backbone {self.name!r} is a causal model and has no decoder of its own; leave changes of a "
                "decoder out."
            )

    def _about(self) -> dict[str, Any]:
        return super()._about() | {"between": self.between}
