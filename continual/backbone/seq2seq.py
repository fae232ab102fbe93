"""A frozen encoder-decoder: sources in, targets out, with prompts in the encoder and in the decoder."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from continual.backbone.body import Body
from continual.backbone.generation import Decoding, searching
from continual.backbone.injection import acting, install
from continual.backbone.likelihood import IGNORED, target_log_probs
from continual.backbone.parallel import Parallel
from continual.backbone.parts import PARTS, Parts
from continual.backbone.readers import SEQ2SEQ_READERS
from continual.backbone.steering import UNSTEERED, Steering
from continual.backbone.text_to_text import TextToText
from continual.backbone.texts import EncodedTexts, Ragged

_DECODER = "decoder"


class Seq2Seq(TextToText):
    """A frozen encoder-decoder of one of the families Marian, T5, mT5, BART and mBART.

    As an `Encoder` it is the model's encoder. The decoder attends to the encoder's states of the source and of soft
    tokens. For arguments see `TextToText`; mBART's languages are its tokenizer's `src_lang` and `tgt_lang`.
    """

    readers = SEQ2SEQ_READERS
    kind = "an encoder-decoder"

    @cached_property
    def decoder(self) -> "DecoderView":
        """The decoder's layers as a tuning sees them, to make and apply changes of them."""
        return DecoderView(self)

    def _opened(self, model: nn.Module) -> Body:
        body = super()._opened(model)
        install(model, _DECODER, PARTS[self.family](model.get_decoder()))
        return body

    def _whole_targets(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(text_target=list(texts), return_attention_mask=False, verbose=False)
        return encoded["input_ids"]

    def _cut(self, ids: list[int]) -> list[int]:
        if self.family != "mbart" or len(ids) <= self.max_target:
            return super()._cut(ids)
        # Its shift begins with what the target ends with: the language in mBART, the end token in mBART-50.
        ending = 1 if ids[-1] == self.tokenizer.eos_token_id else 2
        return [*ids[: self.max_target - ending], *ids[-ending:]]

    def parallel(self, sources: EncodedTexts, targets: Ragged) -> Parallel:
        """See `TextToText.parallel`."""
        return Parallel(sources, targets, sources.ids.lengths + targets.lengths)

    def encode(self, hidden: Tensor, mask: Tensor, steering: Steering = UNSTEERED) -> tuple[Tensor, Tensor]:
        """What the decoder attends to.

        Args:
            hidden: States before layer `steering.entry`, [batch, length, width].
            mask: True where a position is real, [batch, length].
            steering: What a prompt does.

        Returns:
            States [batch, soft + length, width] and their mask [batch, soft + length].
        """
        states, visible, _ = self.read_steered(hidden, mask, steering)
        return states, visible

    def decode(self, states: Tensor, visible: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """Logits of each target token given what `encode` made of the source; see `logits`."""
        from transformers.modeling_outputs import BaseModelOutput

        with acting(_DECODER, steering.decoder):
            return self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=visible.long(),
                decoder_input_ids=self.model.prepare_decoder_input_ids_from_labels(targets),
                use_cache=False,
            ).logits

    def logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """See `TextToText.logits`."""
        return self.decode(*self.encode(hidden, mask, steering), targets, steering)

    def token_logits(self, hidden: Tensor, mask: Tensor, targets: Tensor, steering: Steering = UNSTEERED) -> Tensor:
        """See `TextToText.token_logits`: states behind the end of a target never meet the head."""
        with _only(self.model.get_output_embeddings(), targets != IGNORED):
            return self.logits(hidden, mask, targets, steering)

    def label_log_probs(
        self, ids: Tensor, mask: Tensor, labels: Ragged, steering: Steering = UNSTEERED, normalised: bool = True
    ) -> Tensor:
        """See `TextToText.label_log_probs`; each source is encoded once."""
        count = len(labels)
        states, visible = self.encode(self.below(ids, mask, steering.entry), mask, steering)
        states, visible = states.repeat_interleave(count, dim=0), visible.repeat_interleave(count, dim=0)
        targets = labels.batch(torch.arange(count), IGNORED)[0].repeat(len(ids), 1)
        logits = self.decode(states, visible, targets, steering.repeat(count))
        return target_log_probs(logits, targets, normalised).view(len(ids), count)

    @torch.no_grad()
    def generate(
        self, ids: Tensor, mask: Tensor, decoding: Decoding | None = None, steering: Steering = UNSTEERED
    ) -> Tensor:
        """See `TextToText.generate`; tokens that the model is told to begin with (BART, mBART) are part of a target."""
        from transformers.modeling_outputs import BaseModelOutput

        decoding = decoding or Decoding()
        states, visible = self.encode(self.below(ids, mask, steering.entry), mask, steering)
        with acting(_DECODER, steering.repeat(decoding.beams).decoder):
            written = searching(self.model).generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=visible.long(),
                eos_token_id=self.end_tokens or None,
                **decoding.options(self.positions - 1),
                **self._start,
            )
        return written[:, 1:]

    @cached_property
    def _start(self) -> dict[str, int]:
        """What a target begins with where the tokenizer knows its language: as in training, by the family's shift."""
        if getattr(self.tokenizer, "tgt_lang", None) is None:
            return {}
        empty = self.tokenize_targets([""]).values[None]
        start = int(self.model.prepare_decoder_input_ids_from_labels(empty)[0, 0])
        first = int(empty[0, 0])  # mBART-50 begins with the language behind the start, mBART with the text
        return {"decoder_start_token_id": start} | (
            {} if first == self.tokenizer.eos_token_id else {"forced_bos_token_id": first}
        )


@contextlib.contextmanager
def _only(head: nn.Module, real: Tensor) -> Iterator[None]:
    """Meanwhile a head is given the states of real positions alone, one row's behind the other's."""
    hook = head.register_forward_pre_hook(lambda module, states: (states[0][real],))
    try:
        yield
    finally:
        hook.remove()


class DecoderView:
    """The decoder of an encoder-decoder as `tuning.layered.LayerTuning` wants it.

    `tuning.initial(seq2seq.decoder, None, generator)` makes tensors for its layers, and `tuning.steering(...)` of them
    gives the changes that belong in `Steering.decoder`.

    Attributes:
        blocks: What may be changed in each layer.
        depth: Number of layers.
        width: Size of a hidden state.
    """

    stepwise = True

    def __init__(self, whole: Seq2Seq) -> None:
        stack = whole.model.get_decoder()
        self.name, self.family, self.width = f"{whole.name}'s decoder", whole.family, whole.width
        self.blocks: list[Parts] = PARTS[whole.family](stack)
        self.depth = len(self.blocks)

    @property
    def body(self) -> "DecoderView":
        """Itself: where an `Encoder` has its blocks."""
        return self
