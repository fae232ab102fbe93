"""Pairs, the model of one prompt on them, and the stored prompts that translate."""

from dataclasses import replace

import pytest
import torch
from generator_samples import SPECS, drawn
from tiny_generators import CAUSAL, SEQ2SEQ, SOURCES, TARGETS
from torch.nn import functional as F

from continual.backbone.frozen import freeze
from continual.backbone.generation import Decoding
from continual.backbone.likelihood import IGNORED, token_log_probs
from continual.prepared import Prepared
from continual.training.config import TrainingConfig
from continual.training.loop import fit
from continual.training.pairs import Pairs
from continual.training.translation_model import TranslationModel
from continual.translator import NO_READOUT, UNTUNED, Sources, Translator
from continual.tuning import build_tuning

ROWS = torch.tensor([4, 0, 1])
each_family = pytest.mark.parametrize("family", [*SEQ2SEQ, *CAUSAL])


def pairs_of(backbone, entry: int = 0) -> Pairs:
    """The sample pairs, seen by the frozen model."""
    sources = backbone.tokenize(SOURCES)
    parallel = backbone.parallel(sources, backbone.tokenize_targets(TARGETS))
    view = freeze(backbone, sources, entry, NO_READOUT)
    read = view if parallel.texts is sources else freeze(backbone, parallel.texts, entry, NO_READOUT)
    return Pairs(view, read, parallel.targets)


def model_of(backbone, kind: str) -> TranslationModel:
    tuning = build_tuning(SPECS[kind])
    return TranslationModel(backbone, tuning, drawn(tuning, backbone))


# ---------------------------------------------------------------- answers are tokens


@each_family
def test_no_logits_are_made_for_the_padding(tiny_generator, family):
    backbone = tiny_generator(family)
    tokens, mask, targets = backbone.parallel_texts(SOURCES, TARGETS).batch(ROWS, backbone.pad_token)
    hidden, seen = backbone.below(tokens, mask, 0), []
    head = backbone.model.get_output_embeddings()
    handle = head.register_forward_hook(lambda module, states, logits: seen.append(logits.shape[:-1].numel()))
    flat = backbone.token_logits(hidden, mask, targets)
    handle.remove()
    torch.testing.assert_close(flat, backbone.logits(hidden, mask, targets)[targets != IGNORED], rtol=0, atol=1e-5)
    assert seen == [len(flat)] == [int((targets != IGNORED).sum())]
    assert len(flat) < targets.numel()


@each_family
@pytest.mark.parametrize("kind", ["deep-1", "both"])
def test_answers_are_those_of_the_backbone_under_the_prompt(tiny_generator, family, kind):
    backbone = tiny_generator(family)
    tuning = build_tuning(SPECS[kind])
    pairs, model = pairs_of(backbone, tuning.entry(backbone)), model_of(backbone, kind)
    logits, ids = model.answers(pairs, ROWS)
    steering = tuning.steering(backbone, model.tensors)
    place, nats = 0, 0.0
    for row in ROWS.tolist():  # each pair alone, without padding, from its first layer on
        parallel = backbone.parallel(backbone.tokenize([SOURCES[row]]), backbone.tokenize_targets([TARGETS[row]]))
        tokens, mask, targets = parallel.batch(torch.tensor([0]), backbone.pad_token)
        hidden = backbone.below(tokens, mask, steering.entry)
        alone = backbone.logits(hidden, mask, targets, steering)
        own = slice(place, place + targets.shape[1])
        assert ids[own].tolist() == targets[0].tolist()
        torch.testing.assert_close(logits[own], alone[0], rtol=0, atol=2e-4)
        nats -= float(token_log_probs(alone, targets).detach().sum())
        place += targets.shape[1]
    assert place == len(ids) == pairs.weight(ROWS)
    assert float(F.cross_entropy(logits, ids)) == pytest.approx(nats / place, rel=1e-4)


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_the_score_is_a_mean_over_tokens(tiny_generator, family):
    backbone = tiny_generator(family)
    pairs, model = pairs_of(backbone), model_of(backbone, "deep")
    accuracy, loss = model.score(pairs)
    logits, ids = model.answers(pairs, torch.arange(len(pairs)))
    assert accuracy == pytest.approx(float((logits.argmax(1) == ids).float().mean()))
    assert loss == pytest.approx(float(F.cross_entropy(logits, ids)), rel=1e-4)


def test_a_teacher_answers_the_rows_it_is_asked_for(tiny_generator):
    backbone = tiny_generator("bart")
    pairs, model = pairs_of(backbone), model_of(backbone, "deep")
    taught = model.logits(pairs)[ROWS]
    assert torch.equal(taught, model.answers(pairs, ROWS)[0])
    assert not taught.requires_grad


def test_pairs_count_what_is_read_and_what_is_written(tiny_generator):
    t5, gpt2 = (pairs_of(tiny_generator(family)) for family in ("t5", "gpt2"))
    assert t5.tokens == int(t5.view.texts.ids.lengths.sum() + t5.targets.lengths.sum())
    assert gpt2.tokens == int(gpt2.read.texts.ids.lengths.sum())  # source and target are one text
    assert gpt2.view.texts is not gpt2.read.texts
    assert len(gpt2) == len(SOURCES)


@each_family
def test_a_prompt_is_learned_on_pairs(tiny_generator, family):
    backbone = tiny_generator(family)
    tuning = build_tuning(SPECS["both"])
    pairs = pairs_of(backbone, tuning.entry(backbone))
    generator = torch.Generator().manual_seed(0)
    model = TranslationModel(backbone, tuning, tuning.initial(backbone, None, generator))
    before = {name: value.clone() for name, value in backbone.model.named_parameters()}
    config = TrainingConfig(epochs=12, min_steps=0, batch_size=3, learning_rate=0.05, patience=0, average=0.0)
    result = fit(model, pairs, pairs, config, generator)
    assert result.dev_loss < 0.97 * result.curve[0]["dev_loss"]
    assert all(torch.equal(value, before[name]) for name, value in backbone.model.named_parameters())


def test_a_team_weighs_its_shares_by_their_tokens(tiny_generator):
    """The parts of a batch's loss add up to the mean over its tokens, however the pairs are shared out."""
    backbone = tiny_generator("marian")
    pairs, model = pairs_of(backbone), model_of(backbone, "deep")
    rows = torch.arange(len(pairs))
    whole = F.cross_entropy(*model.answers(pairs, rows))
    shares = [F.cross_entropy(*model.answers(pairs, own)) * pairs.weight(own) / pairs.weight(rows) for own in
              (rows[::2], rows[1::2])]  # fmt: skip
    assert float(sum(shares)) == pytest.approx(float(whole), rel=1e-5)


# ---------------------------------------------------------------- stored prompts in one batch


class Prompts(dict):
    """Prepared prompts by their ids, in place of a pool's."""


def translator_of(backbone, prepared: dict[str, Prepared], decoding: Decoding | None = None) -> Translator:
    translator = Translator(backbone, decoding or Decoding(max_new_tokens=10))
    translator._prompts = Prompts(prepared)
    return translator


@pytest.mark.parametrize("kind", ["input", "deep-1", "layer_norm", "lora", "compacter", "both"])
@pytest.mark.parametrize("family", ["t5", "marian", "gpt2", "llama"])
def test_mixed_batches_write_what_single_prompts_write(tiny_generator, family, kind):
    backbone, tuning = tiny_generator(family), build_tuning(SPECS[kind])
    prepared = {
        f"p-v{seed}": Prepared(tuning, NO_READOUT, drawn(tuning, backbone, seed), None, None, 0) for seed in (1, 2)
    }
    translator = translator_of(backbone, prepared)
    sources = Sources.of(backbone, [text for text in SOURCES if text])
    view = freeze(backbone, sources.pieces, tuning.entry(backbone), NO_READOUT)
    count = len(sources)
    alone = {name: translator.translate(sources, range(count), [name] * count, view).texts for name in prepared}
    assert alone["p-v1"] != alone["p-v2"]
    prompts = ["p-v1", "p-v2", "p-v2", "p-v1"]
    mixed = translator.translate(sources, range(count), prompts, view)
    assert mixed.texts == [alone[prompt][row] for row, prompt in enumerate(prompts)]
    steering = tuning.steering(backbone, prepared["p-v1"].tensors)
    texts = [text for text in SOURCES if text]
    assert alone["p-v1"] == backbone.write(texts, Decoding(max_new_tokens=10), steering)


@pytest.mark.parametrize("kind", ["input", "deep", "lora"])
@pytest.mark.parametrize("family", ["t5", "marian", "gpt2"])
def test_each_beam_of_a_mixed_batch_follows_the_prompt_of_its_sentence(tiny_generator, family, kind):
    backbone, tuning = tiny_generator(family), build_tuning(SPECS[kind])
    prepared = {
        f"p-v{seed}": Prepared(tuning, NO_READOUT, drawn(tuning, backbone, seed), None, None, 0) for seed in (1, 2)
    }
    translator = translator_of(backbone, prepared, Decoding(beams=3, max_new_tokens=10))
    sources = Sources.of(backbone, [text for text in SOURCES if text])
    view = freeze(backbone, sources.pieces, tuning.entry(backbone), NO_READOUT)
    prompts = ["p-v1", "p-v2", "p-v2", "p-v1"]
    rows = range(len(prompts))
    mixed = translator.translate(sources, rows, prompts, view).texts
    assert mixed == [translator.translate(sources, [row], [prompts[row]], view).texts[0] for row in rows]
    alone = {name: translator.translate(sources, rows, [name] * len(rows), view).texts for name in prepared}
    assert mixed == [alone[prompts[row]][row] for row in rows]
    assert alone["p-v1"] != alone["p-v2"]


def test_prompts_of_other_lengths_share_a_batch_and_the_backbone_alone_does_not(tiny_generator):
    backbone = tiny_generator("t5")
    kinds = {"short": {"name": "input", "length": 2}, "long": {"name": "input", "length": 5}}
    tunings = {name: build_tuning(spec | {"init": "normal"}) for name, spec in kinds.items()}
    prepared = {
        name: Prepared(tuning, NO_READOUT, drawn(tuning, backbone, 3), None, None, 0)
        for name, tuning in tunings.items()
    }
    translator = translator_of(backbone, prepared)
    sources = Sources.of(backbone, ["Great value", "The soup was cold and rude.", "?"])
    view = freeze(backbone, sources.pieces, 0, NO_READOUT)
    mixed = translator.translate(sources, range(3), ["short", UNTUNED, "long"], view)
    for row, prompt in enumerate(("short", UNTUNED, "long")):
        alone = translator.translate(sources, [row], [prompt], view)
        assert alone.texts == [mixed.texts[row]]
    assert mixed.tokens >= 3
    assert mixed.seconds > 0


def test_tokens_are_counted_up_to_the_end(tiny_generator):
    backbone = tiny_generator("marian")
    end, pad = backbone.tokenizer.eos_token_id, backbone.pad_token
    ids = torch.tensor([[5, end, pad, pad], [5, 6, 7, 8], [end, pad, pad, pad]])
    assert Translator(backbone, Decoding())._count(ids) == 2 + 4 + 1


def test_long_texts_are_translated_in_pieces(tiny_generator):
    backbone = tiny_generator("t5")
    texts = ["Great value", "The waiter was cold. " * 20, "noon"]
    sources = Sources.of(backbone, texts)
    assert len(sources) == 3
    assert [len(sources.of_text(number)) for number in (0, 2)] == [1, 1]
    assert len(sources.of_text(1)) == 20
    assert int(sources.pieces.ids.lengths.max()) <= backbone.max_length
    view = freeze(backbone, sources.pieces, 0, NO_READOUT)
    written = Translator(backbone, Decoding(max_new_tokens=4)).translate(sources, range(3), [UNTUNED] * 3)
    assert len(written.texts) == 3
    profile = sources.profile(view)
    torch.testing.assert_close(profile.view(3, 2, -1).norm(dim=2), torch.ones(3, 2))
    torch.testing.assert_close(profile[0], view.profile[0])
    mean = view.profile[1:21].mean(0).view(2, -1)
    torch.testing.assert_close(profile[1], (mean / mean.norm(dim=1, keepdim=True)).flatten())


# ---------------------------------------------------------------- the backbone's part


@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_prefix_stands_before_every_source(tiny_generator_folder, family):
    from continual.backbone.generators import causal, seq2seq

    load = causal if family in CAUSAL else seq2seq
    path = str(tiny_generator_folder(family))
    plain, told = load(path=path, max_length=24), load(path=path, max_length=24, prefix="one person: ")
    assert told.tokenize(["noon"]).ids.values.tolist() == plain.tokenize(["one person: noon"]).ids.values.tolist()
    assert told.fingerprint != plain.fingerprint
    assert plain.tokenize_targets(["noon"]).values.tolist() == told.tokenize_targets(["noon"]).values.tolist()


@each_family
def test_a_copy_learns_and_leaves_the_original_as_it_is(tiny_generator, family):
    backbone = tiny_generator(family)
    before, fingerprint = backbone.write(list(SOURCES), Decoding(max_new_tokens=6)), backbone.fingerprint
    twin = backbone.copied()
    assert twin.write(list(SOURCES), Decoding(max_new_tokens=6)) == before
    with torch.no_grad():
        for value in twin.model.parameters():
            value.mul_(1.5)
    assert twin.fingerprint != fingerprint
    assert backbone.write(list(SOURCES), Decoding(max_new_tokens=6)) == before
    # A prompt acts in the copy too.
    tuning = build_tuning(SPECS["deep"])
    steering = tuning.steering(twin, drawn(tuning, twin))
    ids, mask, _ = twin.tokenize(list(SOURCES[:2])).batch(torch.arange(2), twin.pad_token)
    steered, plain = (twin.run(twin.embed(ids, mask), mask, changes=it) for it in (steering.changes, {}))
    assert not torch.allclose(steered, plain)


def test_a_batch_of_pairs_is_a_view_of_what_is_kept(tiny_generator):
    pairs = pairs_of(tiny_generator("bart"), entry=1)
    batch = pairs.batch(ROWS)
    assert batch.seen.hidden is batch.hidden
    assert torch.equal(batch.seen.embedding, pairs.view.embedding[ROWS])
    assert batch.targets.shape == (3, int(pairs.targets.lengths[ROWS].max()))
    assert replace(pairs).views == (pairs.view, pairs.read)


def test_what_is_advised_for_a_decoder_can_be_set():
    from continual.config import compose
    from continual.errors import ConfigError

    with pytest.raises(ConfigError, match=r"tuning\.decoder=\{name: deep\}"):
        build_tuning({"name": "both", "decoder": {"name": "input"}})
    spec = compose("simulated_translation", ["tuning.decoder={name: deep}"]).learner.tuning
    assert build_tuning(spec).spec()["decoder"]["name"] == "deep"
