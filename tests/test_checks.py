"""Translations that a pretrained model was not made for, by the record in its folder."""

import dataclasses
import json

import pytest

from continual.checks import check_direction
from continual.errors import LearningError
from continual.students.models import copied
from streams import SimulatedTranslationSource, StreamManager


def translation(direction: str):
    """A task that says to be of some direction."""
    task = next(iter(StreamManager(SimulatedTranslationSource(train=4, dev=2, test=2))))
    source, target = direction.split("-")
    return dataclasses.replace(task, info={**task.info, "source_language": source, "target_language": target})


@pytest.fixture
def backbone(tiny_generator, tmp_path):
    """A backbone whose folder has a record of what it was made for."""

    def of(direction: str, prefix: str = "", **record):
        (tmp_path / "pretraining.json").write_text(
            json.dumps({"direction": direction, "languages": ["en", "de"]} | record)
        )
        one = copied(tiny_generator("marian"))
        one.prefix, one.opening = prefix, {"name": "seq2seq", "path": str(tmp_path)}
        return one

    return of


@pytest.mark.parametrize(
    ("made", "prefix", "asked"),
    [
        ("en-de", "", "en-de"),
        ("en-de", "", "en-de_AT"),
        ("en-de", "", "en-toy"),  # which it may learn from nothing
        ("en-de", "", "fr-en"),
        ("both", ">>de<<", "en-de"),
        ("both", ">>en<<", "de-en"),
    ],
)
def test_what_a_model_was_made_for_and_what_it_does_not_know_are_let_pass(backbone, made, prefix, asked):
    check_direction(backbone(made, prefix), translation(asked))


@pytest.mark.parametrize(
    ("made", "prefix", "asked", "words"),
    [
        (
            "en-de",
            "",
            "de-en",
            r"is de-en, but .* was made for en-de; choose stream.direction=en-de,.* direction=de-en",
        ),
        ("both", "", "en-de", r"made for both .* its prefix '' does not say which; set backbone.prefix='>>de<< '\.$"),
        ("both", ">>en<<", "en-de", r"does not say which; set backbone.prefix='>>de<< '"),
    ],
)
def test_a_translation_the_other_way_round_is_refused(backbone, made, prefix, asked, words):
    with pytest.raises(LearningError, match=words):
        check_direction(backbone(made, prefix), translation(asked))


def test_models_without_such_a_record_are_let_pass(backbone, tiny_generator):
    task = translation("de-en")
    check_direction(tiny_generator("marian"), task)
    check_direction(backbone("en-de", languages=["en"]), task)
    one = backbone("en-de")
    one.opening = {"name": "seq2seq", "path": "somebody/on-the-hub"}
    check_direction(one, task)
