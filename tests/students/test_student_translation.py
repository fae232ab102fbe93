"""How students that translate are measured."""

import pytest
import torch
from datasets import Dataset

from continual.distillation.continual_translation import terms
from continual.errors import ConfigError
from continual.long_texts import pieces
from continual.students.ckd import CKDConfig, Lesson
from continual.students.models import copied
from continual.students.translation import Batch, TranslatingConfig, check_targets, encode, prepared
from continual.translator import plain

SHORT = "the red house"
LONG = "the red house. " * 12
CONFIG = TranslatingConfig(beams=1, max_new_tokens=6)


@pytest.mark.parametrize("family", ["marian", "t5"])
def test_a_text_longer_than_the_model_reads_is_translated_as_a_whole(tiny_generator, family):
    model = tiny_generator(family)
    parts = pieces(LONG, model.fits)
    assert len(parts) > 1
    whole, short = plain(model, [LONG, SHORT], CONFIG.decoding)
    assert whole == " ".join(plain(model, parts, CONFIG.decoding))
    assert short == plain(model, [SHORT], CONFIG.decoding)[0]


@pytest.mark.parametrize("family", ["marian", "t5"])
def test_what_stands_behind_much_white_space_is_translated_too(tiny_generator, family):
    model = tiny_generator(family)
    text = "the red" + " " * model.characters_read + "house"
    assert not model.fits(text)
    assert pieces(text, model.fits) == ["the red house"]


def lesson(student, teacher, weight: float, pairs, read, **config) -> Lesson:
    return Lesson(student, copied(student), teacher, weight, CKDConfig(**config), 0.0, pairs, read, pairs)


def split(*texts: str) -> Dataset:
    return Dataset.from_dict({"text": list(texts), "target": ["das rote Haus", "ein Hund"]})


def test_a_teacher_reads_sources_behind_its_own_prefix(tiny_generator):
    student, teacher, plain = (copied(tiny_generator("t5")) for _ in range(3))
    teacher = prepared(teacher, TranslatingConfig(prefix="tell: "))
    rows, texts = torch.arange(2), ("the red house", "a dog")
    own, read = encode(student, split(*texts)), encode(teacher, split(*texts))
    check_targets(own, read, "teachers[0]")
    _, parts = lesson(student, teacher, 0.0, own, read).loss(0, rows)
    told = encode(plain, split(*(f"tell: {text}" for text in texts)))
    _, expected = lesson(student, plain, 0.0, own, told).loss(0, rows)
    assert all(torch.equal(parts[name], expected[name]) for name in parts)
    _, deaf = lesson(student, plain, 0.0, own, own).loss(0, rows)
    assert not torch.equal(parts["learned"] + parts["averted"], deaf["learned"] + deaf["averted"])


def test_without_any_weight_no_teacher_is_heard(tiny_generator):
    student, teacher = copied(tiny_generator("t5")), tiny_generator("t5")
    pairs = encode(student, split("the red house", "a dog"))
    silent = {"positive": 0.0, "negative": 0.0, "inherited": 0.0}
    loss, parts = lesson(student, teacher, 0.0, pairs, pairs, **silent).loss(0, torch.arange(2))
    assert torch.equal(loss, parts["reference"])


SILENT = {"positive": 0.0, "negative": 0.0, "inherited": 0.0}
PLAIN = {"detection": "all", "negative": 0.0, "inherited": 0.0}


@pytest.mark.parametrize(
    ("config", "weight", "asked"),
    [
        (PLAIN, 0.0, ["student", "teacher"]),
        (SILENT, 0.5, ["student"]),
        (SILENT | {"inherited": 1.0}, 0.5, ["student", "previous"]),
        ({"inherited": 0.0}, 0.5, ["student", "teacher", "previous"]),
        ({"negative": 0.0}, 0.5, ["student", "teacher", "previous"]),
        ({"positive": 0.0}, 0.5, ["student", "teacher", "previous"]),
        ({}, 0.0, ["student", "teacher", "previous"]),
        ({}, 0.5, ["student", "teacher", "previous"]),
    ],
)
def test_models_are_asked_where_something_depends_on_them_and_the_numbers_stay(
    tiny_generator, monkeypatch, config, weight, asked
):
    frozen = tiny_generator("t5")
    student, teacher = prepared(copied(frozen), TranslatingConfig(), trained=True), copied(frozen)
    with torch.no_grad():
        teacher.model.shared.weight.mul_(1.5)
    pairs, rows = encode(student, split("the red house", "a dog")), torch.arange(2)
    one = lesson(student, teacher, weight, pairs, pairs, **config)
    with torch.no_grad():
        one.previous.model.shared.weight.mul_(1.1)
    expected, gradient = everything_computed(one, rows)
    calls = []
    for name in ("student", "teacher", "previous"):
        model = getattr(one, name)
        logits = model.logits
        monkeypatch.setattr(model, "logits", lambda *given, n=name, f=logits: calls.append(n) or f(*given))
    loss, parts = one.loss(0, rows)
    (found,) = torch.autograd.grad(loss, [student.model.shared.weight])
    assert calls == asked
    assert torch.equal(loss, expected)
    assert torch.equal(found, gradient)
    assert ("averted" in parts) == (one.config.negative != 0)


def everything_computed(one: Lesson, rows) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss with every term, those of weight 0 too, and its gradient by the student's embeddings."""
    batch = Batch.of(one.pairs, rows, one.student)
    said = [batch.log_probs(model) for model in (one.student, one.teacher, one.previous)]
    reference = torch.nn.functional.cross_entropy(said[0], batch.said)
    parts = terms(*said, batch.said, one.config.detection)
    told = one.config.positive * parts["learned"] + one.config.negative * parts["averted"]
    kept = one.config.inherited * one.weight * parts["inherited"]
    loss = reference + (1 - one.weight) * told + kept
    return loss.detach(), torch.autograd.grad(loss, [one.student.model.shared.weight])[0]


def test_a_teacher_that_cuts_targets_elsewhere_is_refused(tiny_generator):
    student, teacher = copied(tiny_generator("t5")), copied(tiny_generator("t5"))
    teacher.max_target = 3
    pairs = split("the red house", "a dog")
    with pytest.raises(ConfigError, match=r"teachers\[1\] writes the same targets in other tokens"):
        check_targets(encode(student, pairs), encode(teacher, pairs), "teachers[1]")


def test_the_prefix_of_the_settings_stands_before_every_source(tiny_generator):
    plain = copied(tiny_generator("t5"))
    texts = plain.tokenize([f"tell: {SHORT}"])
    told = prepared(plain, TranslatingConfig(prefix="tell: "))
    assert told.tokenize([SHORT]).ids.values.tolist() == texts.ids.values.tolist()
    # A prefix that the model was opened with stays where the settings name none.
    assert prepared(told, TranslatingConfig()).prefix == "tell: "


def test_the_prefix_of_the_settings_is_the_students_and_a_teacher_keeps_its_own(tiny_generator):
    student, teacher = copied(tiny_generator("t5")), copied(tiny_generator("t5"))
    student.prefix = teacher.prefix = "own: "
    told = TranslatingConfig(prefix="tell: ")
    assert prepared(student, told, trained=True).prefix == "tell: "
    assert prepared(teacher, told).prefix == "own: "


def test_positions_that_are_computed_are_not_trained(tiny_generator):
    student = prepared(copied(tiny_generator("marian")), TranslatingConfig(), trained=True)
    frozen = {name for name, value in student.model.named_parameters() if not value.requires_grad}
    assert frozen == {f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}


def test_without_inheritance_the_teacher_keeps_its_weight(tiny_generator):
    student, teacher = copied(tiny_generator("t5")), copied(tiny_generator("t5"))
    with torch.no_grad():
        teacher.model.shared.weight.mul_(1.5)
    pairs = encode(student, split("the red house", "a dog"))
    loss, parts = lesson(student, teacher, 0.75, pairs, pairs, inherited=0.0).loss(0, torch.arange(2))
    told = parts["learned"] + parts["averted"]
    assert told > 0
    torch.testing.assert_close(loss, parts["reference"] + 0.25 * told)
