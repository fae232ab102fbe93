"""What is told of texts that a model does not read to their end."""

import dataclasses

import pytest
from datasets import Dataset

from continual.reading_notes import reading_counts, reading_notes
from continual.students.models import copied
from streams import SimulatedSource, StreamManager

SHORT, MIDDLE, LONG = "the soup", "the soup was cold and " * 3, "the soup was cold and rude " * 20


def classification(texts: list[str], pairs: list[str] | None = None):
    """A task with these texts to learn from."""
    task = next(iter(StreamManager(SimulatedSource(train=4, dev=2, test=2))))
    columns = {"text": texts, "label": [number % 2 for number in range(len(texts))]}
    split = Dataset.from_dict(columns if pairs is None else columns | {"text_pair": pairs})
    return dataclasses.replace(task, train=split, dev=split, test=split)


@pytest.mark.parametrize("family", ["t5", "marian", "gpt2"])
@pytest.mark.parametrize("prefix", ["", "tell me of "])
def test_cut_texts_of_a_classification_are_counted_on_models_that_write(tiny_generator, family, prefix):
    backbone = copied(tiny_generator(family))
    backbone.prefix = prefix
    texts = [SHORT, MIDDLE, LONG, *("soup " * count for count in range(12, 30))]
    cut = sum(not backbone.fits(text) for text in texts)
    assert 0 < cut < len(texts)
    task = classification(texts)
    counts = reading_counts(task, backbone)
    assert counts["cut"] == 3 * cut
    assert any(f"{3 * cut} of {3 * len(texts)} texts are cut" in note for note in reading_notes(task, counts))


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_cut_pairs_of_texts_are_counted_too(tiny_generator, family):
    backbone = tiny_generator(family)
    task = classification([SHORT, SHORT, LONG], [SHORT, LONG, SHORT])
    assert reading_counts(task, backbone)["cut"] == 3 * 2
