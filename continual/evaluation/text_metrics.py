"""How well texts are written: scores of hypotheses against references, by sacreBLEU.

All functions take the references and the hypotheses, equally many texts in the same order, and give a number from 0
to 1: sacreBLEU's, which go to 100, divided by 100, so that a matrix of them reads like one of accuracies.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from continual.errors import ConfigError
from continual.evaluation.metric import metrics

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacreMetric

TEXT_METRICS = metrics("continual.text_metrics")
"""Metrics that give one number for a translation task."""

# Scripts without spaces between words: by sacreBLEU's own rules for Chinese, by characters where its tokenizer needs
# a package of its own or there is none.
_TOKENIZERS = dict.fromkeys(("zh", "zho", "chi", "cmn", "yue"), "zh") | dict.fromkeys(
    ("ja", "jpn", "ko", "kor", "th", "tha", "km", "khm", "lo", "lao", "my", "mya", "bur"), "char"
)
_DEFAULT_TOKENIZER = "13a"


@TEXT_METRICS.register(
    "bleu",
    help="corpus BLEU of the translations, by sacreBLEU and divided by 100",
    formula="BP exp( mean_{n=1..4} log p_n ) over the n-grams of all texts of a split",
    better="higher",
)
def bleu(references: Sequence[str], hypotheses: Sequence[str], language: str | None = None) -> float:
    """Corpus BLEU (Papineni et al. 2002), from 0 to 1.

    Args:
        references: The translations that should be written.
        hypotheses: Those that were.
        language: Code of the language written, such as `de`, which decides how texts are cut into words.

    Raises:
        ValueError: No texts, or different numbers of them.
    """
    return _score(bleu_scorer(language), references, hypotheses)


@TEXT_METRICS.register(
    "chrf",
    help="corpus chrF of the translations, by sacreBLEU and divided by 100",
    formula="5 P R / ( 4 P + R ), P and R means over character n-grams, n = 1..6",
    better="higher",
)
def chrf(references: Sequence[str], hypotheses: Sequence[str], language: str | None = None) -> float:
    """Corpus chrF2 (Popović 2015), from 0 to 1; arguments and errors as for `bleu`, `language` is of no matter."""
    return _score(chrf_scorer(), references, hypotheses)


def signature(name: str, language: str | None = None) -> str:
    """What sacreBLEU wants to be told of a score: references, case, tokenizer, smoothing, version.

    Raises:
        ConfigError: The metric is not one of sacreBLEU's.
    """
    makers = {"bleu": lambda: bleu_scorer(language), "chrf": chrf_scorer}
    if name not in makers:
        raise ConfigError(f"The metric {name!r} has no signature of sacreBLEU; those with one: {', '.join(makers)}.")
    metric = makers[name]()
    metric.corpus_score(["text"], [["text"]])  # the number of references is part of it
    return str(metric.get_signature())


def _tokenizer_of(language: str | None) -> str:
    """Name of sacreBLEU's tokenizer for texts of a language, by its code such as `de` or `zh-CN`."""
    code = "" if language is None else language.replace("_", "-").split("-")[0].lower()
    return _TOKENIZERS.get(code, _DEFAULT_TOKENIZER)


def bleu_scorer(language: str | None, **options: Any) -> "SacreMetric":
    """SacreBLEU's BLEU for texts of a language; `options` as of its class."""
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=_tokenizer_of(language), **options)


def chrf_scorer() -> "SacreMetric":
    """SacreBLEU's chrF2."""
    from sacrebleu.metrics import CHRF

    return CHRF()


def _score(metric: "SacreMetric", references: Sequence[str], hypotheses: Sequence[str]) -> float:
    if not references or len(references) != len(hypotheses):
        raise ValueError(
            f"expected equally many references and hypotheses, at least one example, found {len(references)} and "
            f"{len(hypotheses)}"
        )
    # A perfect score is 100.00000000000004 in floating point.
    return min(metric.corpus_score(list(hypotheses), [list(references)]).score / 100, 1.0)
