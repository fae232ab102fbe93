"""BLEU and chrF of translations as sacreBLEU has them, and what a sequence of scores says."""

import pytest

from continual.evaluation.corpus_scores import accumulative_degradation, corpus_scores

REFERENCES = ["Der alte Mann sieht das Haus.", "Heute ist ein schöner Tag."]


def test_scores_and_signatures():
    scores = corpus_scores(REFERENCES, REFERENCES)
    assert scores["bleu"] == pytest.approx(100)
    assert scores["chrf"] == pytest.approx(100)
    assert "tok:13a" in scores["signatures"]["bleu"]
    assert "nc:6" in scores["signatures"]["chrf"]
    assert corpus_scores(["", "Nein"], REFERENCES)["bleu"] == 0


def test_bleu_by_hand():
    # Four of five words, three of four pairs, two of three triples, one of two quadruples; no brevity penalty.
    scores = corpus_scores(["a b c d x"], ["a b c d e"])
    assert scores["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


@pytest.mark.parametrize("written", [[], ["one"]])
def test_every_reference_needs_a_translation(written):
    with pytest.raises(ValueError, match="as many translations as references"):
        corpus_scores(written, REFERENCES)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([10.0, 12.0, 11.0, 11.5, 9.0], 3.5), ([10.0, 11.0, 12.0], 0.0), ([10.0], 0.0), ([3.0, 1.0, 3.0, 1.0], 4.0)],
)
def test_accumulative_degradation_by_hand(scores, expected):
    assert accumulative_degradation(scores) == pytest.approx(expected)


def test_degradation_of_nothing():
    with pytest.raises(ValueError, match="found none"):
        accumulative_degradation([])
