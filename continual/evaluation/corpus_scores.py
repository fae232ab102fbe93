"""How good translations of a whole text are: sacreBLEU's BLEU and chrF, and what a sequence of them says."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any


def corpus_scores(written: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """BLEU and chrF2 of translations, 0 to 100 (Post 2018; Popović 2015).

    Args:
        written: Translations, one for each reference.
        references: What they should be.

    Returns:
        `bleu`, `chrf`, and `signatures`: what sacreBLEU says of how each was computed.

    Raises:
        ValueError: There are none, or not as many as references.
    """
    from sacrebleu.metrics import BLEU, CHRF

    if not written or len(written) != len(references):
        raise ValueError(f"expected as many translations as references, found {len(written)} and {len(references)}")
    scores: dict[str, Any] = {"signatures": {}}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        scores[name] = metric.corpus_score(list(written), [list(references)]).score
        scores["signatures"][name] = str(metric.get_signature())
    return scores


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
