"""What is asked of a model in a batch of texts, and how its answer is scored.

An objective makes a `Question` of windows and turns the logits at the asked places into a loss, a sum over them. It
holds settings and no state: what is random comes from the generator that it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from continual.pretraining.lifelong.config import StrategyConfig
from continual.pretraining.lifelong.losses import cross_entropy_sum, token_losses, token_smoothed_sum
from continual.pretraining.lifelong.masking import corrupted, hard_places, hidden, random_places
from continual.pretraining.lifelong.reading import by_tokens, calm_logits_at
from continual.pretraining.lifelong.texts import Batch, Frame, Window

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Question:
    """What a model reads and what it is asked.

    Attributes:
        read: Token ids as it reads them, [texts, length].
        whole: The same texts with nothing hidden, [texts, length].
        attention: 1 at real tokens, [texts, length].
        places: True where it is asked; a causal model is asked one place before each token, [texts, length].
        targets: The right tokens, [asked].
    """

    read: Tensor
    whole: Tensor
    attention: Tensor
    places: Tensor
    targets: Tensor


class Objective(Protocol):
    """An objective of lifelong pretraining; registered in `OBJECTIVES`, made from strategy, tokenizer and frame."""

    def prepared(self, model: "PreTrainedModel", windows: list[Window], tokens: int) -> list[Window]:
        """The windows as the objective needs them, before a domain is learned.

        Args:
            model: As it is before the domain.
            windows: Of the domain or of the memory.
            tokens: About so many are read at once.
        """

    def ask(self, windows: Sequence[Window], generator: torch.Generator) -> Question:
        """A question about these windows."""

    def exam(self, windows: Sequence[Window]) -> Question:
        """The question by which held-out windows, with their `asked` places, are scored.

        It is the same for all objectives of one kind of model.
        """

    def loss(self, model: "PreTrainedModel", question: Question, logits: Tensor) -> Tensor:
        """The loss of the answers, summed over the asked places, a scalar.

        Args:
            model: Which answered.
            question: What was asked.
            logits: Its answers, [asked, V].
        """


class Masked:
    """Tokens masked at random (Devlin et al. 2019): the baseline, and what ELLE's encoders learn by.

    Held-out windows are scored with all asked tokens hidden (no random and no kept ones), which is ours: so the
    perplexity tells of tokens that were not seen, whatever mixture the model learned with.
    """

    def __init__(self, strategy: StrategyConfig, tokenizer: "PreTrainedTokenizerBase", frame: Frame) -> None:
        self.strategy, self.frame, self.mask = strategy, frame, tokenizer.mask_token_id
        special = set(tokenizer.all_special_ids)
        # Symbols of domains are added tokens: nobody is to meet them but as prompts.
        special |= set(tokenizer.added_tokens_decoder)
        self.vocabulary = torch.tensor([token for token in range(len(tokenizer)) if token not in special])

    def prepared(self, model: "PreTrainedModel", windows: list[Window], tokens: int) -> list[Window]:
        """See `Objective.prepared`: as they are."""
        return windows

    def ask(self, windows: Sequence[Window], generator: torch.Generator) -> Question:
        """See `Objective.ask`."""
        batch = self.frame.batch(windows)
        places = random_places(batch.ordinary, self.strategy.mask, generator)
        return self._question(batch, corrupted(batch.ids, places, self.mask, self.vocabulary, generator), places)

    def exam(self, windows: Sequence[Window]) -> Question:
        """See `Objective.exam`."""
        batch = self.frame.batch(windows)
        places = self._asked(batch, windows)
        return self._question(batch, hidden(batch.ids, places, self.mask), places)

    def loss(self, model: "PreTrainedModel", question: Question, logits: Tensor) -> Tensor:
        """See `Objective.loss`: cross-entropy."""
        return cross_entropy_sum(logits, question.targets.to(logits.device))

    def _asked(self, batch: Batch, windows: Sequence[Window]) -> Tensor:
        """The places that the windows themselves ask for, [texts, length]."""
        places = torch.zeros_like(batch.ordinary)
        for row, window in enumerate(windows):
            if window.asked:
                places[row, self.frame.offset(window) + torch.tensor(window.asked)] = True
        return places

    def _question(self, batch: Batch, read: Tensor, places: Tensor) -> Question:
        return Question(read, batch.ids, batch.attention, places, batch.ids[places])


class NextToken:
    """The next token of a text, its end included. A domain prompt is read and never asked for."""

    def __init__(self, strategy: StrategyConfig, tokenizer: "PreTrainedTokenizerBase", frame: Frame) -> None:
        self.frame = frame

    def prepared(self, model: "PreTrainedModel", windows: list[Window], tokens: int) -> list[Window]:
        """See `Objective.prepared`: as they are."""
        return windows

    def ask(self, windows: Sequence[Window], generator: torch.Generator) -> Question:
        """See `Objective.ask`; nothing is random."""
        batch = self.frame.batch(windows)
        places = torch.zeros_like(batch.ordinary)
        places[:, :-1] = batch.ordinary[:, 1:]
        return Question(batch.ids, batch.ids, batch.attention, places, batch.ids[batch.ordinary])

    def exam(self, windows: Sequence[Window]) -> Question:
        """See `Objective.exam`: every token."""
        return self.ask(windows, torch.Generator())

    def loss(self, model: "PreTrainedModel", question: Question, logits: Tensor) -> Tensor:
        """See `Objective.loss`: cross-entropy."""
        return cross_entropy_sum(logits, question.targets.to(logits.device))


class SelfEvolution(Masked):
    """Self-evolution learning of Vega v2 (arXiv 2212.01853), as specified by its successor SE (Zhong et al. 2023).

    Before a domain is learned the model reads its texts with nothing masked; tokens that cost it more than 0.1 nats
    although it sees them are hard (*self-questioning*). While it is learned exactly these are masked, all by the mask
    token, and the target of each is smoothed by what the current model says there when it reads the sentence whole, in
    evaluation mode and without gradient (*token-specific label smoothing*). Texts without a hard token are masked at
    random.

    Ours: the share of a text that may be masked (`hard_limit`); a new model, which finds every token hard, learns its
    first domain by random masks (`continual.pretraining.lifelong.material`); the memory is questioned as well.
    """

    def prepared(self, model: "PreTrainedModel", windows: list[Window], tokens: int) -> list[Window]:
        """See `Objective.prepared`: with their hard places."""
        result = list(windows)
        for rows in by_tokens([self.frame.length(window) for window in windows], tokens):
            batch = self.frame.batch([windows[row] for row in rows])
            logits = calm_logits_at(model, batch.ids, batch.attention, batch.ordinary)
            losses = torch.zeros(batch.ids.shape)
            losses[batch.ordinary] = token_losses(logits, batch.ids[batch.ordinary].to(logits.device)).cpu()
            places = hard_places(losses, batch.ordinary, self.strategy.hard, self.strategy.hard_limit)
            for row, found in zip(rows, places, strict=True):
                first = self.frame.offset(windows[row])
                result[row] = replace(windows[row], asked=tuple((found.nonzero()[:, 0] - first).tolist()))
        return result

    def ask(self, windows: Sequence[Window], generator: torch.Generator) -> Question:
        """See `Objective.ask`."""
        batch = self.frame.batch(windows)
        at_random = random_places(batch.ordinary, self.strategy.mask, generator)
        read = corrupted(batch.ids, at_random, self.mask, self.vocabulary, generator)
        exact = self._asked(batch, windows)
        known = exact.any(1, keepdim=True)
        read = torch.where(known, hidden(batch.ids, exact, self.mask), read)
        return self._question(batch, read, torch.where(known, exact, at_random))

    def loss(self, model: "PreTrainedModel", question: Question, logits: Tensor) -> Tensor:
        """See `Objective.loss`: cross-entropy with smoothed targets."""
        reference = calm_logits_at(model, question.whole, question.attention, question.places).float().softmax(-1)
        targets = question.targets.to(logits.device)
        return token_smoothed_sum(logits, targets, reference, self.strategy.smoothing)
