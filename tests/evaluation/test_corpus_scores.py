"""BLEU and chrF of translations as sacreBLEU has them, and what a sequence of scores says."""

import pytest

from continual.evaluation.corpus_scores import (
    accumulative_degradation,
    bleu_noise,
    bleu_of,
    bleu_statistics,
    corpus_scores,
)

REFERENCES = ["Der alte Mann sieht das Haus.", "Heute ist ein schöner Tag."]


def test_chinese_is_cut_into_characters_for_scores_and_statistics():
    written, references = ["我喜欢红房子和小狗"], ["我喜欢红房子和小猫"]
    scores = corpus_scores(written, references, "zh")
    assert "tok:zh" in scores["signatures"]["bleu"]
    statistics = bleu_statistics(written, references, "zh")
    assert statistics.tolist() == [[8, 7, 6, 5, 9, 8, 7, 6, 9, 9]]
    assert bleu_of(statistics.sum(0)) == pytest.approx(scores["bleu"])
    assert bleu_statistics(written, references).tolist()[0][:2] == [0, 0]  # a single word, and another one


@pytest.mark.parametrize("language", ["zho", "cmn-Hans", "yue", "jpn", "kor", "tha", "km", "lo", "my", "mya"])
def test_languages_that_write_no_spaces_are_known_by_every_code(language):
    signature = corpus_scores(["x"], ["x"], language)["signatures"]["bleu"]
    assert "tok:13a" not in signature


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


WRITTEN = ["Der alte Mann sieht ein Haus.", "Heute ist ein Tag.", ""]
THREE = [*REFERENCES, "Nichts."]


def test_statistics_by_hand():
    # Ten runs of words in all: "a b c x" against "a b c d" has a, b, c; a b, b c; a b c.
    assert bleu_statistics(["a b c x"], ["a b c d"]).tolist() == [[3, 2, 1, 0, 4, 3, 2, 1, 4, 4]]


def test_sums_of_statistics_give_the_corpus_score():
    statistics = bleu_statistics(WRITTEN, THREE)
    assert statistics.shape == (3, 10)
    assert bleu_of(statistics.sum(0)) == pytest.approx(corpus_scores(WRITTEN, THREE)["bleu"])


def test_noise_of_a_change():
    good, bad = bleu_statistics(THREE, THREE), bleu_statistics(WRITTEN, THREE)
    assert bleu_noise(good, good) == 0
    few = bleu_noise(bad.repeat(4, 0), good.repeat(4, 0))
    many = bleu_noise(bad.repeat(64, 0), good.repeat(64, 0))
    assert 0 < many < few
    assert bleu_noise(bad, good) == bleu_noise(bad, good), "the same draws"
    with pytest.raises(ValueError, match="the same sentences twice"):
        bleu_noise(good, bad[:2])


def test_noise_covers_what_resampling_does():
    """Half of the sentences become right: from 76.0 to 88.1 BLEU, about 24 for each of them that is in a sample.

    Their share in a sample of 200 has the deviation sqrt(1/4 / 200) = .035, so the half interval is 24 * 1.96 * .035.
    """
    before = bleu_statistics(["a b c d e x"] * 200, ["a b c d e f"] * 200)
    after = before.copy()
    after[:100] = bleu_statistics(["a b c d e f"], ["a b c d e f"])
    assert bleu_noise(before, after) == pytest.approx(1.66, rel=0.2)
