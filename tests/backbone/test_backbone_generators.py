"""Generative models without a prompt against Hugging Face's own forward pass and generation."""

import copy
import json
import shutil

import pytest
import torch
from generator_samples import ALL, encoded, example_batch, pair_logits
from tiny_generators import CAUSAL, DEPTH, LANGUAGES, SEQ2SEQ, SOURCES, TARGETS

from continual.backbone.generation import Decoding
from continual.backbone.generators import causal, seq2seq
from continual.backbone.likelihood import token_loss
from continual.backbone.readout import Readout
from continual.backbone.steering import UNSTEERED
from continual.students.models import copied

CLOSE = {"rtol": 0.0, "atol": 1e-4}
each_family = pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])
BEAMS = [Decoding(max_new_tokens=12), Decoding(beams=4, max_new_tokens=12), Decoding(4, 9, 0.3, True)]


@each_family
def test_a_model_in_training_drops_what_its_makers_drop(tiny_generator, family):
    """With the same random numbers the same states: every dropout is there, and in the same place."""
    backbone = copied(tiny_generator(family))
    ids, mask = encoded(backbone)
    whole = mask.all(1)
    ids, mask = ids[whole], mask[whole]
    stack = backbone.model.get_encoder() if family in SEQ2SEQ else backbone.model.base_model
    backbone.model.train()
    torch.manual_seed(0)
    expected = stack(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.manual_seed(0)
    found = backbone.run(backbone.embed(ids, mask), mask)
    torch.testing.assert_close(found, expected, **CLOSE)
    backbone.model.eval()
    settled = backbone.run(backbone.embed(ids, mask), mask)
    assert torch.allclose(found, settled) == (family == "llama")  # which has no dropout


@each_family
def test_every_layer_equals_the_models_own(tiny_generator, family):
    backbone = tiny_generator(family)
    ids, mask = encoded(backbone)
    stack = backbone.model.get_encoder() if family in SEQ2SEQ else backbone.model
    with torch.no_grad():
        expected = stack(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    assert backbone.depth == DEPTH == len(expected) - 1
    hidden = backbone.embed(ids, mask)
    for layer in range(DEPTH + 1):
        if layer:
            hidden = backbone.run(hidden, mask, layer - 1, layer)
        torch.testing.assert_close(hidden[mask], expected[layer][mask], **CLOSE)
    assert torch.equal(hidden, backbone.run(backbone.embed(ids, mask), mask))


@pytest.mark.parametrize("family", SEQ2SEQ)
def test_logits_and_loss_of_an_encoder_decoder_equal_the_models_own(tiny_generator, family):
    backbone = tiny_generator(family)
    ids, mask, targets = example_batch(backbone)
    logits = backbone.logits(backbone.below(ids, mask), mask, targets)
    with torch.no_grad():
        expected = backbone.model(input_ids=ids, attention_mask=mask.long(), labels=targets)
    torch.testing.assert_close(logits, expected.logits, **CLOSE)
    torch.testing.assert_close(token_loss(logits, targets), expected.loss)


@pytest.mark.parametrize("family", CAUSAL)
def test_logits_and_loss_of_a_causal_model_equal_the_models_own(tiny_generator, family):
    backbone = tiny_generator(family)
    ids, mask, targets = example_batch(backbone)
    labels = torch.full_like(ids, -100)
    for row in ALL.tolist():
        real = targets[row][targets[row] != -100]
        end = int(mask[row].sum())
        assert ids[row, end - len(real) : end].tolist() == real.tolist()
        labels[row, end - len(real) : end] = real
    with torch.no_grad():
        expected = backbone.model(input_ids=ids, attention_mask=mask.long(), labels=labels)
    logits = backbone.logits(backbone.below(ids, mask), mask, targets)
    torch.testing.assert_close(logits[targets != -100], expected.logits[:, :-1][labels[:, 1:] != -100], **CLOSE)
    torch.testing.assert_close(token_loss(logits, targets), expected.loss)


@each_family
@pytest.mark.parametrize("decoding", BEAMS, ids=["greedy", "beams", "short"])
def test_generation_equals_the_models_own(tiny_generator, family, decoding):
    backbone = tiny_generator(family)
    ids, mask = encoded(backbone)
    own = {"pad_token_id": backbone.tokenizer.eos_token_id} if backbone.tokenizer.pad_token_id is None else {}
    if family in CAUSAL:  # wants its padding in front
        turned = torch.argsort(mask, dim=1, stable=True)
        given, visible = ids.gather(1, turned), mask.gather(1, turned)
    else:
        given, visible = ids, mask
    if family == "mbart":
        own["decoder_start_token_id"] = backbone.tokenizer.convert_tokens_to_ids("de_DE")
    expected = backbone.model.generate(
        input_ids=given, attention_mask=visible.long(), **decoding.options(decoding.max_new_tokens), **own
    )
    expected = expected[:, ids.shape[1] if family in CAUSAL else 1 :]
    written = backbone.generate(ids, mask, decoding)
    assert torch.equal(written, expected)
    assert len({tuple(row) for row in written.tolist()}) > 1
    assert backbone.write(SOURCES, decoding, batch=2) == backbone.decoded(expected)


@each_family
def test_settings_of_generation_that_come_with_a_model_decide_nothing(
    tiny_generator, tiny_generator_folder, family, tmp_path
):
    backbone = tiny_generator(family)
    folder = shutil.copytree(tiny_generator_folder(family), tmp_path / family)
    own = {"no_repeat_ngram_size": 1, "min_length": 9, "num_beams": 3, "length_penalty": 5.0, "repetition_penalty": 9.0}
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(config | own | {"max_length": 3, "min_new_tokens": 9}))
    languages = LANGUAGES if family == "mbart" else {}
    told = (causal if family in CAUSAL else seq2seq)(path=str(folder), max_length=24, max_target=20, **languages)
    assert told.model.generation_config.no_repeat_ngram_size == 1
    assert told.fingerprint == backbone.fingerprint
    for decoding in (Decoding(max_new_tokens=8), Decoding(beams=2, max_new_tokens=8)):
        assert told.write(SOURCES, decoding) == backbone.write(SOURCES, decoding)
    assert told.model.generation_config.min_length == 9, "what is saved with the model stays its own"


@each_family
def test_tokens_that_are_no_text_stay_forbidden(tiny_generator, family):
    backbone = copied(tiny_generator(family))
    ids, mask = encoded(backbone)
    first = backbone.generate(ids, mask, Decoding(max_new_tokens=8))[:, 0].tolist()
    backbone.model.generation_config.suppress_tokens = sorted(set(first))
    again = backbone.generate(ids, mask, Decoding(max_new_tokens=8))[:, 0].tolist()
    assert not set(again) & set(first)


@pytest.mark.parametrize("family", CAUSAL)
@pytest.mark.parametrize("beams", [1, 2])
def test_writing_ends_with_the_token_that_is_taught_as_the_end_and_with_the_models_own(tiny_generator, family, beams):
    backbone = copied(tiny_generator(family))
    ids, mask = encoded(backbone)
    decoding = Decoding(max_new_tokens=12)
    taught, own = backbone.generate(ids, mask, decoding)[0, 1:3].tolist()
    backbone.tokenizer = copy.deepcopy(backbone.tokenizer)
    backbone.tokenizer.eos_token = backbone.tokenizer.convert_ids_to_tokens(taught)
    backbone.model.generation_config.eos_token_id = [own]
    assert backbone.end_tokens == sorted({taught, own})
    written = backbone.generate(ids, mask, Decoding(beams=beams, max_new_tokens=12))
    for row in written.tolist():
        ends = [place for place, token in enumerate(row) if token in (taught, own)]
        assert not ends or len(set(row[ends[0] + 1 :])) <= 1, "nothing but padding stands behind"
    assert beams > 1 or written[0, 1] == taught


@each_family
def test_padding_and_order_change_nothing(tiny_generator, family):
    backbone = tiny_generator(family)
    together = pair_logits(backbone, UNSTEERED)
    turned = pair_logits(backbone, UNSTEERED, ALL.flip(0))
    written = backbone.write(SOURCES, Decoding(beams=2, max_new_tokens=8))
    for row in ALL.tolist():
        alone = pair_logits(backbone, UNSTEERED, ALL[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, **CLOSE)
        torch.testing.assert_close(turned[-1 - row], alone, **CLOSE)
        assert backbone.write(SOURCES[row : row + 1], Decoding(beams=2, max_new_tokens=8)) == [written[row]]


@pytest.mark.parametrize("family", CAUSAL)
def test_a_causal_model_takes_padding_on_either_side(tiny_generator, family):
    backbone = tiny_generator(family)
    ids, mask, targets = example_batch(backbone)
    right = backbone.logits(backbone.below(ids, mask), mask, targets)
    turned = torch.argsort(mask, dim=1, stable=True)
    ids, mask = ids.gather(1, turned), mask.gather(1, turned)
    left = backbone.logits(backbone.below(ids, mask), mask, targets)
    torch.testing.assert_close(left[targets != -100], right[targets != -100], **CLOSE)
    sources, real = encoded(backbone)
    turned = torch.argsort(real, dim=1, stable=True)
    decoding = Decoding(max_new_tokens=6)
    again = backbone.generate(sources.gather(1, turned), real.gather(1, turned), decoding)
    assert torch.equal(again, backbone.generate(sources, real, decoding))


@each_family
def test_labels_are_scored_as_targets_one_by_one(tiny_generator, family):
    backbone = tiny_generator(family)
    labels = backbone.tokenize_targets(["rumour", "no rumour at all", ""])
    ids, mask = encoded(backbone)
    for normalised in (False, True):
        scores = backbone.label_log_probs(ids, mask, labels, normalised=normalised)
        assert scores.shape == (len(SOURCES), 3)
        for row, source in enumerate(SOURCES):
            for column in range(3):
                label = labels.take(torch.tensor([column]))
                pair = backbone.parallel(backbone.tokenize([source]), label)
                own, real, target = pair.batch(torch.tensor([0]), backbone.pad_token)
                logits = backbone.logits(backbone.below(own, real), real, target)[0]
                by_hand = sum(logits[place].log_softmax(0)[token] for place, token in enumerate(target[0].tolist()))
                by_hand = by_hand / target.shape[1] if normalised else by_hand
                torch.testing.assert_close(scores[row, column], by_hand, rtol=1e-4, atol=1e-5)


@each_family
def test_the_vector_of_a_text_is_the_mean_of_its_last_states(tiny_generator, family):
    from continual.backbone.frozen import freeze

    backbone = tiny_generator(family)
    view = freeze(backbone, backbone.tokenize(SOURCES), 1, Readout(layers="last", terms=10))
    for row, source in enumerate(SOURCES):
        ids, mask, _ = backbone.tokenize([source]).batch(torch.tensor([0]), backbone.pad_token)
        mean = backbone.run(backbone.embed(ids, mask), mask)[0].mean(0)
        torch.testing.assert_close(view.embedding[row], mean / mean.norm(), **CLOSE)


@each_family
def test_long_texts_are_cut_and_a_target_that_is_cut_has_no_end(tiny_generator, family):
    backbone = tiny_generator(family)
    long = "police " * 100
    assert backbone.tokenize([long]).ids.lengths.tolist() == [backbone.max_length]
    targets = backbone.tokenize_targets([long, *TARGETS])
    assert targets.lengths[0] == backbone.max_target
    ends = [targets.take(torch.tensor([row])).values.tolist() for row in range(len(targets))]
    assert [backbone.tokenizer.eos_token_id in target for target in ends] == [family == "mbart", *[True] * len(TARGETS)]
    assert [backbone.fits_target(text) for text in (long, *TARGETS)] == [False, *[True] * len(TARGETS)]
    assert len(backbone.tokenize_targets([])) == len(backbone.tokenize([])) == 0


@each_family
def test_pairs_of_texts_are_read_as_one(tiny_generator, family):
    backbone = tiny_generator(family)
    pair = backbone.tokenize(["Great value"], ["fast delivery"])
    assert pair.pairs
    assert pair.types is None
    assert pair.ids.lengths[0] > backbone.tokenize(["Great value"]).ids.lengths[0]
