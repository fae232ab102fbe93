"""What a translation model learns from a batch: the translation, and E2S2's objectives beside it.

Zhong et al. 2022, "E2S2: Encoding-Enhanced Sequence-to-Sequence Pretraining for Language Understanding and Generation"
(arXiv 2205.14912), continue the pretraining of BART by

    L = L*_nll + L_nll + lambda_de L_de + lambda_cl L_cl

where L*_nll sees a sentence with shuffled and random tokens, L_nll the same sentence without, L_de tells on the
encoder's last states which tokens were changed, and L_cl draws the two views' vectors together. As in the released code
both likelihoods count half. Every part is a mean over its own unit: target tokens, source tokens, sentences.

Ours: the sentence under noise is the source of a translation, or in a share of the steps an infilled sentence of the
target language, which the decoder restores; so the decoder always writes the target language. Vectors are means over
real tokens and not over padding; padding alone is left out of L_de; masks are never replaced.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.backbone.likelihood import IGNORED, token_loss
from continual.pretraining.losses import contrastive_loss, detection_loss, mean_state
from continual.pretraining.noise import ORIGINAL, infill, replace_tokens, shuffle_tokens
from continual.pretraining.translation.config import ObjectivesConfig
from continual.pretraining.translation.evaluation import HeldOut, likelihood
from continual.pretraining.translation.pairs import EncodedPairs, Ids, decoder_batch, padded
from continual.pretraining.translation.vocabulary import word_starts
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import MarianMTModel, PreTrainedTokenizerFast


class Detecting(nn.Module):
    """The model, and the head that tells which tokens were changed. The head is of use in training alone."""

    def __init__(self, model: "MarianMTModel", seed: int) -> None:
        super().__init__()
        self.model = model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "detector"))
            self.detector = nn.Sequential(nn.Dropout(model.config.dropout), nn.Linear(model.config.d_model, 3))


@dataclass(frozen=True)
class View:
    """Sources as the encoder reads them, and what was done to each token; lists of token ids and labels."""

    ids: list[Ids]
    labels: list[list[int]]


class TranslationObjective:
    """The objective of `continual.pretraining.loop`.

    Args:
        module: What is trained, on its device.
        pairs: The training pairs.
        held_out: What the model is scored on.
        tokenizer: Of both languages.
        config: Noise and weights.
        smoothing: Label smoothing of the translation.
        seed: Decides the noise.
    """

    def __init__(
        self,
        module: Detecting,
        pairs: EncodedPairs,
        held_out: HeldOut,
        tokenizer: "PreTrainedTokenizerFast",
        config: ObjectivesConfig,
        smoothing: float,
        seed: int,
    ) -> None:
        self.module, self.pairs, self.held_out = module, pairs, held_out
        self.config, self.smoothing, self.seed = config, smoothing, seed
        self.pad, self.end, self.mask = tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id
        self.fixed = frozenset(tokenizer.all_special_ids)
        # Special tokens come first in the vocabulary, so all behind them are ordinary.
        self.ordinary = range(max(self.fixed) + 1, len(tokenizer))
        self.words = word_starts(tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.module.model.device

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        rng = random.Random(seed_of(self.seed, "noise", str(step)))
        restores = rng.random() < self.config.reconstruction
        targets = [self.pairs.targets[row] for row in rows]
        sources = (
            [self._infilled(ids, rng) for ids in targets] if restores else [self.pairs.sources[row] for row in rows]
        )
        views = self._views(sources, [self.pairs.tags[row] for row in rows], rng)
        logits, states, mask, said = self._forward(views, targets)
        parts = {"restoring" if restores else "translation": token_loss(logits, said, self.smoothing)}
        loss = next(iter(parts.values()))
        if self.config.detection:
            parts["detection"] = self._detection(views[0], states)
            loss = loss + self.config.detection * parts["detection"]
        if self.config.contrast:
            vectors = mean_state(states, mask).split(len(rows))
            parts["contrast"] = contrastive_loss(*vectors, self.config.temperature)
            loss = loss + self.config.contrast * parts["contrast"]
        return loss, parts

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: loss in nats for each token and perplexity on all held-out text."""
        return likelihood(self.module.model, self.held_out.all()).scores()

    def _views(self, sources: list[Ids], tags: list[Ids], rng: random.Random) -> list[View]:
        """The noised view where there is noise, then the plain one where it is asked for."""
        plain = View(sources, [[ORIGINAL] * len(ids) for ids in sources])
        views = [plain]
        if self.config.is_noisy:
            noised = [self._noised(ids, rng) for ids in sources]
            views = [View([ids for ids, _ in noised], [labels for _, labels in noised])]
            views += [plain] if self.config.second_view else []
        return [self._with_specials(view, tags) for view in views]

    def _with_specials(self, view: View, tags: list[Ids]) -> View:
        """The view with language tokens before and ends behind, which have no label."""
        return View(
            [[*tag, *ids, self.end] for tag, ids in zip(tags, view.ids, strict=True)],
            [[*[IGNORED] * len(tag), *labels, IGNORED] for tag, labels in zip(tags, view.labels, strict=True)],
        )

    def _infilled(self, ids: Ids, rng: random.Random) -> Ids:
        return infill(ids, self.mask, self.config.mask, self.config.span, rng)

    def _noised(self, ids: Ids, rng: random.Random) -> tuple[Ids, list[int]]:
        words = [self.words[token] for token in ids]
        moved, labels = shuffle_tokens(ids, words, self.config.shuffle, self.fixed, rng)
        return replace_tokens(moved, labels, self.config.random, self.ordinary, self.fixed, rng)

    def _forward(self, views: list[View], targets: list[Ids]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All views in one pass, below each other.

        Returns:
            Logits [views * texts, target tokens, V], the encoder's last states [views * texts, source tokens, width],
            the mask of real source tokens, and what was to be said.
        """
        read = padded([ids for view in views for ids in view.ids], self.pad, self.device)
        mask = read != self.pad
        written, said = decoder_batch(targets * len(views), self.pad, self.end, self.device)
        output = self.module.model(
            input_ids=read, attention_mask=mask.long(), decoder_input_ids=written, use_cache=False
        )
        return output.logits, output.encoder_last_hidden_state, mask, said

    def _detection(self, view: View, states: Tensor) -> Tensor:
        labels = padded(view.labels, IGNORED, self.device)
        # Views have the same lengths, so the noised one is as wide as all.
        return detection_loss(self.module.detector(states[: len(labels)]), labels)
