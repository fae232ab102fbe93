"""What recipes for encoders are made of: passes, tasks, augmentation, triplets, bank, memory and crowd."""

import random
from dataclasses import replace

import pytest
import torch
from distilled_samples import settings, student
from tiny_models import BLOCKWISE, PAIRS, TEXTS

from continual.distillation.contrastive import contrastive_distillation
from continual.distillation.online import attention_divergence
from continual.errors import BackboneError, ConfigError, LearningError
from continual.students.encoders.augmentation import AugmentationConfig, augmented, replaceable, split
from continual.students.encoders.classifier import Classifier, accuracy, gold_loss
from continual.students.encoders.crowd import Crowd, CrowdObjective
from continual.students.encoders.disco import DiscoConfig
from continual.students.encoders.features import Features, student_memory, teacher_memory
from continual.students.encoders.fsd import FsdConfig
from continual.students.encoders.inside import look, look_only, require_layers
from continual.students.encoders.labelled import Row, by_task, encoded, rows_of
from continual.students.encoders.proposals import Neighbours, proposer_of
from continual.students.encoders.scoring import nearest_agreement, probed, similarity
from continual.students.encoders.triplets import FileTriplets, LabelTriplets
from continual.students.encoders.vectors import BankedStudent, VectorObjective
from continual.students.smaller import ShapeConfig, copied, smaller
from streams import SimulatedSource, StreamManager

EVERY = torch.arange(len(TEXTS))
MIXED = [
    Row("Great value", None, 0, 0),
    Row("The soup was cold.", "Was it hot?", 1, 1),
    Row("The waiter was rude.", None, 1, 0),
    Row("The plane disappeared.", "Where is it?", 0, 1),
]


@pytest.fixture(scope="module")
def tasks():
    stream = StreamManager(SimulatedSource(train=24, dev=12, test=12), order=["kitchen", "office"])
    return tuple(stream.task(name) for name in stream.names)


# ---------------------------------------------------------------- passes


@pytest.mark.parametrize("family", BLOCKWISE)
def test_a_pass_has_the_models_own_states_and_scores(tiny_encoder, family):
    encoder = tiny_encoder(family)
    texts = encoder.tokenize(TEXTS)
    inside = look_only(encoder, texts, EVERY)
    ids, mask, _ = texts.batch(EVERY, encoder.pad_token)
    model = encoder.model
    model.set_attn_implementation("eager")
    with torch.no_grad():
        own = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True, output_attentions=True)
    model.set_attn_implementation("sdpa")
    for state, expected in zip(inside.states, own.hidden_states, strict=True):
        assert torch.allclose(state[mask], expected[mask], atol=1e-4)
    if family == "mpnet":  # adds a position bias, which no student can be taught
        return
    for layer, expected in enumerate(own.attentions):
        scores = inside.scores(layer).masked_fill(~mask[:, None, None, :], float("-inf"))
        assert torch.allclose(scores.softmax(3)[:, :, 0], expected[:, :, 0], atol=1e-4)


def test_a_pass_has_gradients_only_where_they_are_wanted(tiny_encoder):
    learning = copied(tiny_encoder("bert"), "learning")
    texts = learning.tokenize(TEXTS)
    assert look(learning, texts, EVERY).scores(1).requires_grad
    assert not look_only(learning, texts, EVERY).states[-1].requires_grad


def test_families_that_are_run_as_a_whole_are_refused(tiny_encoder, tiny_generator):
    for encoder in (tiny_encoder("albert"), tiny_generator("llama")):
        with pytest.raises(BackboneError, match="encoder whose layers"):
            require_layers(encoder)


# ---------------------------------------------------------------- tasks as one set


def test_single_texts_and_pairs_are_read_together_in_order(tiny_encoder):
    encoder = tiny_encoder("bert")
    data = encoded(encoder, MIXED)
    assert data.tasks.tolist() == [0, 1, 0, 1]
    assert data.labels.tolist() == [0, 1, 1, 0]
    for row, it in enumerate(MIXED):
        alone = encoder.tokenize([it.text], None if it.pair is None else [it.pair])
        ids, _, types = data.texts.batch(torch.tensor([row]), encoder.pad_token)
        assert ids[0].tolist() == alone.ids.values.tolist()
        assert types[0].tolist() == ([0] * len(ids[0]) if it.pair is None else alone.types.values.tolist())
    assert data.of_task(1).texts.batch(torch.tensor([0, 1]), 0)[0].shape[0] == 2
    assert data.of_task(1).labels.tolist() == [1, 0]


def test_other_kinds_of_tasks_are_refused():
    from streams import SimulatedTranslationSource

    task = StreamManager(SimulatedTranslationSource(train=8, dev=4, test=4)).task(
        SimulatedTranslationSource().task_names[0]
    )
    with pytest.raises(LearningError, match="translation, expected classification"):
        rows_of([task], "train")
    with pytest.raises(LearningError, match="no task"):
        rows_of([], "train")


def test_each_text_is_answered_by_the_head_of_its_task(tiny_encoder):
    encoder = copied(tiny_encoder("bert"), "teacher")
    classifier = Classifier(encoder, [2, 3], seed=0, name="teacher")
    data = encoded(encoder, MIXED)
    answers = classifier.answers(look(encoder, data.texts, torch.arange(4)), data.tasks)
    assert [it.logits.shape for it in answers] == [(2, 2), (2, 3)]
    assert (
        [it.rows.tolist() for it in answers] == [[0, 2], [1, 3]] == [rows.tolist() for _, rows in by_task(data.tasks)]
    )
    each = [torch.nn.functional.cross_entropy(it.logits, data.labels[it.rows]) for it in answers]
    assert gold_loss(answers, data.labels).item() == pytest.approx(sum(each).item() / 2)
    with torch.no_grad():
        for head, label in zip(classifier.heads, (1, 0), strict=True):
            head.weight.zero_()
            head.bias.copy_(torch.eye(len(head.bias))[label])
    assert accuracy(classifier, data) == {0: 0.5, 1: 0.5}


# ---------------------------------------------------------------- augmentation


def test_texts_are_split_into_words_that_may_be_replaced():
    words = split("The soup, it's 5 hot!")
    assert "".join(words) == "The soup, it's 5 hot!"
    assert [words[place] for place in replaceable(words)] == ["soup", "s", "hot"]


def test_neighbours_are_nearest_by_cosine_and_never_the_word_itself(tiny_encoder):
    encoder = tiny_encoder("bert")
    neighbours = Neighbours(encoder, 4)
    found = neighbours.of("soup")
    assert len(found) == 4
    assert "soup" not in found
    table = torch.nn.functional.normalize(encoder.model.get_input_embeddings().weight, dim=1)
    vocabulary = encoder.tokenizer.get_vocab()
    cosines = [float(table[vocabulary[word]] @ table[vocabulary["soup"]]) for word in neighbours.words]
    ranked = sorted(zip(cosines, neighbours.words, strict=True), reverse=True)
    assert found == [word for _, word in ranked if word != "soup"][:4]
    assert neighbours.of("soups"), "a word of several pieces has neighbours too"


def test_copies_keep_labels_and_function_words_and_are_repeatable(tiny_encoder):
    config = AugmentationConfig(copies=6, candidates=3, probability=0.5)
    rows = [
        Row("The Soup was cold", None, 1, 0),
        Row("The plane", "was one person injured", 0, 1),
        Row("?", None, 0, 0),
    ]
    made = augmented(rows, tiny_encoder("bert"), config, seed=0)
    assert made == augmented(rows, tiny_encoder("bert"), config, seed=0)
    assert len(set(made)) == len(made) > len(rows)
    assert [row for row in made if row in rows] == rows
    for row in made:
        if row.task == 0 and row.label == 1:
            words = row.text.split()
            assert (words[0], words[2]) == ("The", "was")
            assert words[1].istitle(), "a capital stays a capital"
        if row.task == 1:
            assert row.label == 0
            assert row.text == "The plane" or row.pair == "was one person injured", "one side at a time"


@pytest.mark.parametrize(("probability", "changed"), [(0.0, False), (1.0, True)])
def test_the_probability_decides(tiny_encoder, probability, changed):
    made = augmented([Row("soup", None, 0, 0)], tiny_encoder("bert"), AugmentationConfig(probability=probability), 0)
    assert (len(made) > 1) == changed


def test_without_copies_no_model_is_asked():
    rows = [Row("soup", None, 0, 0)]
    assert augmented(rows, None, AugmentationConfig(copies=0), 0) == rows


def test_a_masked_language_model_proposes(tiny_encoder, tiny_folder, tmp_path):
    from transformers import AutoConfig, AutoModelForMaskedLM

    encoder = tiny_encoder("bert")
    config = AutoConfig.from_pretrained(tiny_folder("bert"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    proposer = proposer_of(encoder, AugmentationConfig(candidates=5, model=str(tmp_path)))
    words = split("The soup was soups")
    found = proposer.propose(words, [2, 6])
    assert set(found) == {2, 6}
    assert all(word.isalpha() and word != "soup" for word in found[2])
    assert found[6] == proposer.neighbours.of("soups")
    batch = encoder.tokenizer("The [MASK] was soups", "The soup was soups", return_tensors="pt")
    place = batch["input_ids"][0].tolist().index(encoder.tokenizer.mask_token_id)
    likely = torch.topk(model.eval()(**batch).logits[0, place], 5).indices
    expected = [word for word in encoder.tokenizer.convert_ids_to_tokens(likely) if word.isalpha() and word != "soup"]
    assert found[2] == (expected or proposer.neighbours.of("soup"))


def test_a_model_without_a_language_head_is_refused(tiny_encoder, tiny_folder):
    with pytest.raises(BackboneError, match="lacks"):
        proposer_of(tiny_encoder("bert"), AugmentationConfig(model=str(tiny_folder("bert"))))


# ---------------------------------------------------------------- triplets and the bank


def test_texts_of_one_label_alone_are_refused(tiny_encoder, tasks):
    data = encoded(tiny_encoder("bert"), rows_of(tasks, "train"))
    one = replace(data, labels=data.labels.masked_fill(data.tasks == 0, 0))
    with pytest.raises(ConfigError, match=f"Only one label occurs in the training texts of {tasks[0].name!r}"):
        LabelTriplets(one, [task.name for task in tasks])


def test_triplets_of_labels_have_the_same_and_another_label_of_their_task(tiny_encoder, tasks):
    data = encoded(tiny_encoder("bert"), rows_of(tasks, "train"))
    triplets = LabelTriplets(data, [task.name for task in tasks])
    anchors, positives, negatives = triplets.sides(torch.arange(len(data)), random.Random(0))
    assert torch.equal(data.labels[positives.rows], data.labels[anchors.rows])
    assert (data.labels[negatives.rows] != data.labels[anchors.rows]).all()
    for side in (positives, negatives):
        assert torch.equal(data.tasks[side.rows], data.tasks[anchors.rows])
    assert (positives.rows != anchors.rows).all()
    alike = triplets.alike((anchors, positives, negatives))
    assert alike.shape == (len(data), 2 * len(data))
    assert alike[:, : len(data)].diagonal().all()
    assert not alike[:, len(data) :].diagonal().any()
    assert not alike[0, data.tasks[positives.rows].ne(data.tasks[0]).nonzero()[0, 0]], "other tasks are other meanings"


def test_a_line_without_three_texts_is_named_by_its_number(tmp_path):
    path = tmp_path / "triplets.tsv"
    path.write_bytes("a\tb\tc\u2028d\n\na\tb\n".encode())
    with pytest.raises(ConfigError, match=r"Line 3 of .* has 2 texts, expected three"):
        DiscoConfig(triplets=str(path)).read_triplets()
    path.write_bytes("a\tb\tc\u2028d\n".encode())
    assert DiscoConfig(triplets=str(path)).read_triplets() == [("a", "b", "c\u2028d")]


def test_triplets_of_a_file_are_taken_as_they_are(tiny_encoder):
    encoder = tiny_encoder("bert")
    triplets = FileTriplets([encoder.tokenize(list(texts)) for texts in (TEXTS[:2], PAIRS[:2], TEXTS[2:4])])
    assert len(triplets) == 2
    sides = triplets.sides(torch.tensor([1]), random.Random(0))
    assert [side.rows.tolist() for side in sides] == [[1], [1], [1]]
    assert triplets.alike(sides) is None


def test_the_bank_is_compared_with_and_kept_with_the_weights(tiny_encoder, tasks):
    teacher = tiny_encoder("bert")
    module = BankedStudent(smaller(teacher, ShapeConfig(layers=1), seed=0), teacher.width, size=6, seed=0)
    data = encoded(teacher, rows_of(tasks, "train"))
    wanted = torch.randn(len(data), teacher.width, generator=torch.Generator().manual_seed(0))
    objective = VectorObjective(module, (data, wanted), (data, wanted), DiscoConfig())
    first, second = torch.arange(4), torch.arange(4, 8)
    objective.loss(0, first)
    assert torch.allclose(module.kept(), torch.nn.functional.normalize(wanted[:4], dim=1))
    own = module.projection(look(module.encoder, data.texts, second).vectors)
    expected = contrastive_distillation(own, wanted[second], wanted[:4], 2.718281828)
    assert objective.loss(1, second)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    kept = torch.nn.functional.normalize(torch.cat([wanted[4:8], wanted[:2]]), dim=1)
    assert torch.allclose(module.kept(), kept)
    assert {"bank", "filled", "log_sharpness"} <= {name for name, _ in module.named_parameters()}


# ---------------------------------------------------------------- the memory


def test_both_memories_hold_means_of_the_texts_near_to_the_teachers(tiny_encoder, tasks):
    encoder = tiny_encoder("bert")
    data = encoded(encoder, rows_of(tasks, "train"))
    config, started = (FsdConfig(memory=2, positions=4, passes=passes) for passes in (1, 0))
    given = Features(encoder, 2, data, 4)
    memory = teacher_memory(given, config, seed=0)
    assert memory.shape == (2, 4 * encoder.width)
    inside = look_only(encoder, data.texts, torch.arange(len(data)))
    features = (inside.states[2] * inside.mask[..., None])[:, :4].flatten(1)
    groups = torch.cdist(features, teacher_memory(given, started, seed=0)).argmin(1)
    for group in groups.unique().tolist():
        assert torch.allclose(memory[group], features[groups == group].mean(0), atol=1e-4)
    own = smaller(encoder, ShapeConfig(layers=1, width=16, start="random"), 0)
    begun = student_memory(given, memory, Features(own, 1, data, 4), seed=0)
    seen = look_only(own, data.texts, torch.arange(len(data)))
    flat = (seen.states[1] * seen.mask[..., None])[:, :4].flatten(1)
    near = torch.cdist(features, memory).argmin(1)
    for group in near.unique().tolist():
        assert torch.allclose(begun[group], flat[near == group].mean(0), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fsd": {"alpha": 2}}, "fsd.alpha"),
        ({"fine_tuning": {"steps": 0}}, "fine_tuning.steps is 0"),
        ({"distillation": {"steps": 0}}, "distillation.steps is 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tiny_folder, tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        student(tmp_path, settings("fsd", tiny_folder("bert"), **changes))


# ---------------------------------------------------------------- the crowd


def test_no_loss_of_a_student_reaches_assistant_or_teacher(tiny_encoder, tasks):
    source = tiny_encoder("bert")
    teacher = Classifier(copied(source, "teacher"), [2, 2], seed=0, name="teacher")
    assistant, one = smaller(source, ShapeConfig(layers=2), 0, "assistant"), smaller(source, ShapeConfig(layers=1), 0)
    crowd = Crowd(teacher, assistant, [one], heads=4)
    data = encoded(source, rows_of(tasks, "train"))
    objective = CrowdObjective(crowd, data, data)
    rows = torch.arange(5)
    _, parts = objective.loss(0, rows)
    assert list(parts) == ["teacher", "assistant", "student_1"]
    parts["student_1"].backward(retain_graph=True)
    assert one.model.get_input_embeddings().weight.grad is not None
    assert all(value.grad is None for value in [*teacher.parameters(), *assistant.model.parameters()])
    parts["assistant"].backward(retain_graph=True)
    assert all(value.grad is None for value in teacher.parameters())
    given, own = look(assistant, data.texts, rows), look(one, data.texts, rows)
    expected = attention_divergence(own.relations(0), given.relations(1), own.mask, 4)
    assert parts["student_1"].item() == pytest.approx(expected.item(), rel=1e-5)


# ---------------------------------------------------------------- scores


def test_a_model_is_similar_to_itself(tiny_encoder, tasks):
    teacher = tiny_encoder("bert")
    data = encoded(teacher, rows_of(tasks, "dev"))
    assert similarity(teacher, teacher, data) == pytest.approx(1.0)
    assert similarity(smaller(teacher, ShapeConfig(layers=1), 0), teacher, data) < 0.999
    assert 0 <= nearest_agreement(teacher, data) <= 1


def test_the_probe_finds_what_the_vectors_say(tiny_encoder, tasks):
    found = probed(tiny_encoder("bert"), tasks)
    assert list(found) == ["kitchen", "office"]
    assert all(0 <= value <= 1 for value in found.values())
