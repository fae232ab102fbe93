"""BLEU and chrF by hand, by sacreBLEU itself, and what is refused."""

import math

import pytest
from sacrebleu.metrics import BLEU, CHRF

from continual.errors import ConfigError, LearningError
from continual.evaluation.kinds import MEASURES, measures_of, metric_of, second_of
from continual.evaluation.text_metrics import TEXT_METRICS, bleu, chrf, signature

REFERENCES = ["Der alte Mann sieht ein rotes Haus.", "Heute regnet es."]
HYPOTHESES = ["Der alte Mann sieht das rote Haus.", "Heute regnet es nicht."]


def test_bleu_by_hand():
    # Every n-gram of the hypothesis is in the reference; it is one word too short: exp(1 - 5/4).
    assert bleu(["a b c d e"], ["a b c d"]) == pytest.approx(math.exp(1 - 5 / 4))
    # 4 of 5 words, 3 of 4 pairs, 2 of 3 triples, 1 of 2 fours; as long as the reference.
    assert bleu(["a b c d e"], ["a b c d x"]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))


def test_chrf_by_hand():
    # Of one character: precision 1, recall 1/2; of two: 1 and 1/3. Longer ones the hypothesis does not have.
    precision, recall = 1.0, (1 / 2 + 1 / 3) / 2
    assert chrf(["abcd"], ["ab"]) == pytest.approx(5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(("name", "metric"), [("bleu", BLEU()), ("chrf", CHRF())])
def test_they_are_sacrebleus_divided_by_100(name, metric):
    expected = metric.corpus_score(HYPOTHESES, [REFERENCES]).score / 100
    assert TEXT_METRICS[name].function(REFERENCES, HYPOTHESES) == pytest.approx(expected)
    assert signature(name) == str(metric.get_signature())


@pytest.mark.parametrize("name", TEXT_METRICS)
def test_a_perfect_translation_scores_one_and_nothing_scores_zero(name):
    assert TEXT_METRICS[name].function(REFERENCES, REFERENCES) == 1.0
    assert TEXT_METRICS[name].function(REFERENCES, ["", ""]) == 0.0


@pytest.mark.parametrize("name", TEXT_METRICS)
@pytest.mark.parametrize(("references", "hypotheses"), [([], []), (["a"], ["a", "b"])])
def test_refuses_what_has_no_score(name, references, hypotheses):
    with pytest.raises(ValueError, match="equally many references and hypotheses, at least one example"):
        TEXT_METRICS[name].function(references, hypotheses)


def test_words_are_cut_as_the_language_wants():
    assert bleu(["今天下雨了吗"], ["今天下雨了呢"], "zh-CN") > 0.5
    assert bleu(["今天下雨了吗"], ["今天下雨了呢"], "de") == 0.0
    assert "tok:zh" in signature("bleu", "zh_TW")
    assert "tok:char" in signature("bleu", "ja")
    assert "tok:13a" in signature("bleu", "de-AT")


def test_kinds_have_their_measures():
    assert measures_of("translation").main == "bleu"
    assert {second_of(it.main) for it in MEASURES.values()} == {"macro_f1", "chrf"}
    with pytest.raises(LearningError, match="Tasks of kind 'tagging' cannot be learned; known: classification"):
        measures_of("tagging")
    with pytest.raises(ConfigError, match=r"no metric named 'bleau' \(did you mean 'bleu'\?\)"):
        metric_of("translation", "bleau")
    with pytest.raises(ConfigError, match="'accuracy' has no signature"):
        signature("accuracy")
