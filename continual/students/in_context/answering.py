"""What a causal model answers after demonstrations, and how often it is right."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.causal import Causal
from continual.backbone.likelihood import IGNORED, target_log_probs
from continual.backbone.texts import Ragged, by_length
from continual.distillation.in_context import majority
from continual.seeding import seed_of
from continual.students.in_context.contexts import Ids, Writer, Written

_AT_ONCE = 32


def label_scores(model: Causal, contexts: Sequence[Ids], words: Sequence[Ids]) -> Tensor:
    """How probable each label is after each context, with gradients, [contexts, labels].

    The mean log-probability of a label's tokens. Where every label is one token, one pass tells all of them.

    Args:
        model: On whatever device.
        contexts: Demonstrations and query.
        words: The tokens of each label.
    """
    if all(len(word) == 1 for word in words):
        logits, _ = _read(model, contexts, [words[0]] * len(contexts))
        return torch.log_softmax(logits[:, 0].float(), dim=1)[:, [word[0] for word in words]]
    logits, targets = _read(model, [it for it in contexts for _ in words], [*words] * len(contexts))
    return target_log_probs(logits.float(), targets, normalised=True).view(len(contexts), len(words))


def token_logits(model: Causal, texts: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """What a model expects next in plain texts, and what does come there.

    Returns:
        Logits [texts, tokens - 1, vocabulary] and tokens [texts, tokens - 1], `IGNORED` behind short texts.
    """
    return _read(model, [text[:1] for text in texts], [text[1:] for text in texts])


def _read(model: Causal, sources: Sequence[Ids], targets: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Logits of each target token behind its source, and the targets with `IGNORED` behind them."""
    device = model.model.device
    everything = torch.arange(len(sources))
    whole = Ragged.from_lists([[*source, *target] for source, target in zip(sources, targets, strict=True)])
    ids, mask = (it.to(device) for it in whole.batch(everything, model.pad_token))
    wanted = Ragged.from_lists(targets).batch(everything, IGNORED)[0].to(device)
    return model.logits(model.embed(ids, mask), mask, wanted), wanted


@dataclass(frozen=True)
class Trial:
    """A task that a model is tried on.

    Attributes:
        queries: What is asked.
        given: Where demonstrations are drawn from.
    """

    queries: Written
    given: Written


@torch.no_grad()
def votes(model: Causal, writer: Writer, trial: Trial, draws: int, seed: int) -> Tensor:
    """The label that each query gets with each of some draws of demonstrations, [draws, queries]."""
    words, count = trial.given.words, len(trial.queries.queries)
    answers = torch.empty(draws, count, dtype=torch.long)
    for draw in range(draws):
        contexts = []
        for number, query in enumerate(trial.queries.queries):
            rng = random.Random(seed_of(seed, "votes", trial.given.name, str(draw), str(number)))
            contexts.append(writer.context(query, trial.given, writer.draw(trial.given, rng)))
        for rows in by_length(torch.tensor([len(it) for it in contexts]), _AT_ONCE):
            scores = label_scores(model, [contexts[row] for row in rows.tolist()], words)
            answers[draw, rows] = scores.argmax(1).cpu()
    return answers


def accuracy(model: Causal, writer: Writer, trial: Trial, draws: int, seed: int) -> float:
    """How often the label that most draws give is right."""
    chosen = majority(votes(model, writer, trial, draws, seed), len(trial.given.words))
    return float((chosen == torch.tensor(trial.queries.labels)).float().mean())
