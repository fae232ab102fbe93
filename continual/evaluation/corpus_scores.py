"""How good translations of a whole text are: sacreBLEU's BLEU and chrF, and what a sequence of them says."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from continual.evaluation.text_metrics import bleu_scorer, chrf_scorer

_ORDERS = 4
"""Lengths of the runs of words that BLEU compares."""


def corpus_scores(written: Sequence[str], references: Sequence[str], language: str | None = None) -> dict[str, Any]:
    """BLEU and chrF2 of translations, 0 to 100 (Post 2018; Popović 2015).

    Args:
        written: Translations, one for each reference.
        references: What they should be.
        language: Code of the language written, which decides how BLEU cuts texts into words.

    Returns:
        `bleu`, `chrf`, and `signatures`: what sacreBLEU says of how each was computed.

    Raises:
        ValueError: There are none, or not as many as references.
    """
    if not written or len(written) != len(references):
        raise ValueError(f"expected as many translations as references, found {len(written)} and {len(references)}")
    scores: dict[str, Any] = {"signatures": {}}
    for name, metric in (("bleu", bleu_scorer(language)), ("chrf", chrf_scorer())):
        scores[name] = metric.corpus_score(list(written), [list(references)]).score
        scores["signatures"][name] = str(metric.get_signature())
    return scores


def bleu_statistics(written: Sequence[str], references: Sequence[str], language: str | None = None) -> np.ndarray:
    """What BLEU is made of, for each sentence; the sum over sentences gives BLEU by `bleu_of`.

    Args:
        written: Translations, one for each reference.
        references: What they should be.
        language: See `corpus_scores`.

    Returns:
        Whole numbers [sentences, 10]: matches and totals of the runs of 1 to 4 words, words written, and words of the
        reference.
    """
    # The effective order silences a warning; the counts are the same.
    metric = bleu_scorer(language, effective_order=True)
    rows = []
    for one, other in zip(written, references, strict=True):
        found = metric.sentence_score(one, [other])
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    return np.array(rows, dtype=np.int64).reshape(-1, 2 * _ORDERS + 2)


def bleu_of(sums: Sequence[int]) -> float:
    """Corpus BLEU with sacreBLEU's default smoothing from summed `bleu_statistics`, [10]."""
    from sacrebleu.metrics import BLEU

    numbers = [int(value) for value in sums]
    matches, totals = numbers[:_ORDERS], numbers[_ORDERS : 2 * _ORDERS]
    return BLEU.compute_bleu(matches, totals, numbers[-2], numbers[-1], smooth_method="exp").score


def bleu_noise(before: np.ndarray, after: np.ndarray, resamples: int = 500, seed: int = 0) -> float:
    """How far a change of BLEU may be off because the test set is a sample: half of its 95 % interval.

    By paired bootstrap (Koehn 2004): sentences are drawn with repetition, the same ones for both systems.

    Args:
        before: `bleu_statistics` of one system's translations, [sentences, 10].
        after: Those of the other system's translations of the same sentences.
        resamples: How often sentences are drawn.
        seed: Decides the draws.

    Raises:
        ValueError: There are no sentences, or not the same number.
    """
    if not len(before) or before.shape != after.shape:
        raise ValueError(f"expected the same sentences twice, found {len(before)} and {len(after)}")
    draws = np.random.default_rng(seed)
    changes = []
    for _ in range(resamples):
        rows = draws.integers(len(before), size=len(before))
        changes.append(bleu_of(after[rows].sum(0)) - bleu_of(before[rows].sum(0)))
    low, high = np.quantile(changes, [0.025, 0.975])
    return float(high - low) / 2


def accumulative_degradation(scores: Sequence[float]) -> float:
    """What was lost on the way: `AD = sum_t max(0, S_{t-1} - S_t)`, 0 where no step made it worse.

    Of continual distillation for translation (Zhang et al. 2023, arXiv 2212.09097), where S is BLEU on the student's
    own domain. A later gain does not make up for a loss.

    Args:
        scores: S_0 before the first step, then S_t after each step t.

    Raises:
        ValueError: There is no score.
    """
    if not scores:
        raise ValueError("expected the score before the first step and one after each, found none")
    return float(sum(max(0.0, before - after) for before, after in pairwise(scores)))
