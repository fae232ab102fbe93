"""Students of every family: from the teacher's configuration and layers, refused where that is impossible."""

import pytest
import torch
from tiny_generators import CAUSAL
from tiny_models import BLOCKWISE, DEPTH, TEXTS, WIDTH

from continual.backbone.saving import save_model
from continual.errors import BackboneError, ConfigError, LearningError
from continual.students.smaller import ShapeConfig, copied, parameters, smaller, without_last_layer

NARROW = ShapeConfig(layers=2, width=16, heads=2, inner=20, start="random")


def vectors(encoder):
    ids, mask, _ = encoder.tokenize(TEXTS).batch(torch.arange(len(TEXTS)), encoder.pad_token)
    with torch.no_grad():
        return encoder.pool(encoder.run(encoder.embed(ids, mask), mask), mask)


@pytest.mark.parametrize("family", BLOCKWISE)
def test_an_encoder_of_any_family_gets_fewer_layers_and_less_width(tiny_encoder, family):
    teacher = tiny_encoder(family)
    student = smaller(teacher, NARROW, seed=0)
    assert (student.depth, student.width, student.family) == (2, 16, family)
    assert student.body.blocks[0].num_heads == 2
    assert student.body.blocks[0].up.out_features == 20
    assert vectors(student).shape == (len(TEXTS), 16)
    assert parameters(student) < parameters(teacher)
    assert all(value.requires_grad for value in student.model.parameters())
    assert not any(value.requires_grad for value in teacher.model.parameters())
    assert teacher.model.config.num_hidden_layers == DEPTH, "the teacher's own configuration stays"


@pytest.mark.parametrize("family", CAUSAL)
def test_so_does_a_causal_model(tiny_generator, family):
    student = smaller(tiny_generator(family), NARROW, seed=0)
    assert (student.depth, student.width) == (2, 16)
    assert student.body.blocks[0].up.out_features == 20
    assert vectors(student).shape == (len(TEXTS), 16)


def test_a_causal_student_reads_behind_its_teachers_prefix(tiny_generator):
    plain = tiny_generator("gpt2")
    teacher = type(plain)(plain.model, plain.tokenizer, "gpt2", 24, 20, plain.between, "tell: ")
    assert smaller(teacher, NARROW, seed=0).prefix == copied(teacher, "twin").prefix == "tell: "


@pytest.mark.parametrize("family", [*BLOCKWISE, *CAUSAL])
def test_all_layers_of_the_teacher_make_the_teacher(tiny_encoder, tiny_generator, family):
    teacher = tiny_generator(family) if family in CAUSAL else tiny_encoder(family)
    twin = smaller(teacher, ShapeConfig(layers=DEPTH), seed=0)
    assert torch.equal(vectors(twin), vectors(teacher))


@pytest.mark.parametrize(("start", "kept"), [("first", [0, 1]), ("last", [1, 2]), ("uniform", [1, 2])])
def test_the_layers_that_are_asked_for_are_copied(tiny_encoder, start, kept):
    teacher = tiny_encoder("bert")
    student = smaller(
        teacher, ShapeConfig(layers=2, start=start), seed=0
    )  # uniform of 3: states 1.5, rounded up, and 3
    for own, number in zip(student.model.encoder.layer, kept, strict=True):
        assert torch.equal(own.output.dense.weight, teacher.model.encoder.layer[number].output.dense.weight)
        assert own.output.dense.weight is not teacher.model.encoder.layer[number].output.dense.weight


def test_random_weights_come_from_seed_and_name(tiny_encoder):
    def first(seed, name):
        return smaller(tiny_encoder("bert"), NARROW, seed, name).model.get_input_embeddings().weight

    assert torch.equal(first(0, "a"), first(0, "a"))
    assert not torch.equal(first(0, "a"), first(1, "a"))
    assert not torch.equal(first(0, "a"), first(0, "b"))


def test_a_copy_learns_and_the_original_does_not(tiny_encoder):
    teacher = tiny_encoder("bert")
    before = vectors(teacher)
    twin = copied(teacher, "twin")
    with torch.no_grad():
        twin.model.get_input_embeddings().weight.add_(1.0)
    assert torch.equal(vectors(teacher), before)
    assert not torch.equal(vectors(twin), before)


def test_an_auxiliary_layer_is_dropped_and_the_rest_stays(tiny_encoder):
    student = smaller(tiny_encoder("bert"), ShapeConfig(layers=3, width=16, start="random"), seed=0)
    kept = without_last_layer(student, seed=1)
    ids, mask, _ = student.tokenize(TEXTS).batch(torch.arange(len(TEXTS)), student.pad_token)
    with torch.no_grad():
        below = student.run(student.embed(ids, mask), mask, 0, 2)
        assert torch.equal(kept.run(kept.embed(ids, mask), mask), below)
    assert kept.depth == 2


def test_a_student_that_was_made_before_learns_on(tiny_encoder, tmp_path):
    teacher = tiny_encoder("bert")
    earlier = smaller(teacher, NARROW, seed=3)
    save_model(earlier.model, earlier.tokenizer, tmp_path / "earlier")
    again = smaller(teacher, ShapeConfig(path=str(tmp_path / "earlier")), seed=0)
    assert torch.equal(vectors(again), vectors(smaller(teacher, NARROW, seed=3)))
    assert all(value.requires_grad for value in again.model.parameters())


def test_it_must_have_the_teachers_tokens(tiny_encoder, tiny_folder):
    with pytest.raises(BackboneError, match="other tokens"):
        smaller(tiny_encoder("bert"), ShapeConfig(path=str(tiny_folder("mpnet"))), seed=0)


def test_its_identity_is_that_of_its_files_and_not_of_their_place(tiny_encoder, tmp_path):
    for name in ("one", "other"):
        student = smaller(tiny_encoder("bert"), NARROW, seed=3)
        save_model(student.model, student.tokenizer, tmp_path / name)
    one, other = (ShapeConfig(path=str(tmp_path / name)).identity() for name in ("one", "other"))
    assert one == other
    assert str(tmp_path) not in str(one)


@pytest.mark.parametrize(
    ("shape", "error", "words"),
    [
        ({"layers": 2, "width": 30, "start": "random"}, BackboneError, "30 wide cannot have 4 heads"),
        ({"layers": 2, "width": 16}, BackboneError, "student.start=random"),
        ({"layers": DEPTH + 1}, LearningError, "as many as the teacher"),
    ],
)
def test_impossible_shapes_are_refused(tiny_encoder, shape, error, words):
    assert WIDTH == 32
    with pytest.raises(error, match=words):
        smaller(tiny_encoder("bert"), ShapeConfig(**shape), seed=0)


@pytest.mark.parametrize(("setting", "words"), [({"layers": 0}, "layers is 0"), ({"start": "middle"}, "uniform")])
def test_impossible_settings_are_refused(setting, words):
    with pytest.raises(ConfigError, match=words):
        ShapeConfig(**setting)


def test_an_encoder_decoder_is_refused(tiny_generator):
    with pytest.raises(BackboneError, match="encoder-decoder"):
        smaller(tiny_generator("t5"), ShapeConfig(layers=1), seed=0)
