"""At the moment of growth nobody's prediction changes: every kind of prompt, on every family."""

import dataclasses
import shutil

import pytest
import torch
from growth_samples import AMOUNTS, DECODERS, FAMILIES, READOUT, TUNINGS, backbone, speaking_prompt
from run_samples import TASKS

from continual import Learner, LearnerSettings
from continual.backbone.frozen import freeze
from continual.errors import LearningError, PoolError
from continual.growth.carrying import carried_spec, trains_last_norm
from continual.growth.elle import Elle
from continual.growth.exact import Exact
from continual.growth.lineage import Lineage, read_lineage
from continual.growth.models import grown_encoder
from continual.growth.pools import carry_pool
from continual.growth.prompts import carried_prompt
from continual.growth.sizes import Amount
from continual.methods.base import kept_tensors
from continual.methods.tapd import TEMPLATES
from continual.pool import PromptPool
from continual.predictor import Held, Predictor
from continual.router import Router
from continual.training.config import TrainingConfig
from continual.transfer.probe import PROBE_TEXTS
from continual.transfer.signature import Prober
from continual.tuning import TUNINGS as REGISTERED
from continual.tuning import build_tuning
from continual.tuning.composed.base import part
from continual.tuning.composed.chain import Chain, chained
from continual.tuning.composed.generated import Generated
from streams import build_stream

TEXTS = [*PROBE_TEXTS[:12], "", "?"]


def logits(encoder, prompt, targets: list[str] | None = None) -> torch.Tensor:
    """What a prompt answers to the texts, its ground included, [texts, labels]."""
    texts = encoder.tokenize(TEXTS, targets)
    entry = build_tuning({key: value for key, value in prompt.tuning.items() if key != "readout"}).entry(encoder)
    view = freeze(encoder, texts, entry, READOUT)
    return torch.stack(Predictor(encoder, Held([prompt])).logits(view, range(len(view)), [prompt.id] * len(view)))


def relative_change(before: torch.Tensor, after: torch.Tensor) -> float:
    """The largest change of any output, as a part of the largest output."""
    return float((before - after).abs().max() / before.abs().max())


def test_every_tuning_is_tried():
    assert {spec["name"] for spec in TUNINGS.values()} == set(REGISTERED.names())


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_logit_of_any_tuning_changes_at_exact_growth(tiny_encoder, tiny_generator, family, amount):
    encoder = backbone(family, tiny_encoder, tiny_generator)
    larger, plan = grown_encoder(encoder, Exact(), Amount(**AMOUNTS[amount]), seed=0)
    prober = Prober(larger)
    for kind, spec in TUNINGS.items():
        prompt = speaking_prompt(encoder, spec)
        carried = carried_prompt(prompt, plan, larger, prober)
        before, after = logits(encoder, prompt), logits(larger, carried)
        assert relative_change(before, after) < 1e-5, kind
        assert before.argmax(1).tolist() == after.argmax(1).tolist(), kind
        assert carried.tuning["name"] == prompt.tuning["name"]
        assert carried.provenance["carried"] == [encoder.fingerprint]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_logit_of_any_tuning_changes_where_units_are_copied_unevenly_and_at_random(
    tiny_encoder, tiny_generator, family
):
    encoder = backbone(family, tiny_encoder, tiny_generator)
    larger, plan = grown_encoder(encoder, Elle(noise=0.0), Amount(inner=20), seed=0)
    inner = plan.reader.layers[1].inner
    assert not inner.even
    assert len(set(inner.counts.tolist())) > 1
    prober = Prober(larger)
    for kind, spec in TUNINGS.items():
        prompt = speaking_prompt(encoder, spec)
        before, after = logits(encoder, prompt), logits(larger, carried_prompt(prompt, plan, larger, prober))
        assert relative_change(before, after) < 1e-5, kind


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("family", ["marian", "t5", "mt5"])
def test_no_token_of_a_prompt_in_both_stacks_changes_at_exact_growth(tiny_generator, family, amount):
    backbone = tiny_generator(family)
    larger, plan = grown_encoder(backbone, Exact(), Amount(**AMOUNTS[amount]), seed=0)
    prober = Prober(larger)
    for kind, decoder in DECODERS.items():
        spec = {"name": "both", "base": TUNINGS["late"], "decoder": decoder}
        prompt = speaking_prompt(backbone, spec)
        if family == "marian" and "width" in AMOUNTS[amount] and trains_last_norm(decoder, family):
            with pytest.raises(LearningError, match="trains the norms of a decoder"):
                carried_prompt(prompt, plan, larger, prober)
            continue
        carried = carried_prompt(prompt, plan, larger, prober)
        before, after = (token_logits(*it) for it in ((backbone, prompt), (larger, carried)))
        assert relative_change(before, after) < 3e-5, kind
        for name in prompt.tensors:
            if name.startswith("tuning.decoder/"):
                prompt.tensors[name].zero_()
        assert float((before - token_logits(backbone, prompt)).abs().max()) > 1e-3, f"{kind} says nothing"


@pytest.mark.parametrize("family", ["marian", "t5", "mt5"])
def test_no_token_changes_where_units_are_copied_unevenly_and_at_random(tiny_generator, family):
    backbone = tiny_generator(family)
    larger, plan = grown_encoder(backbone, Elle(noise=0.0), Amount(inner=20), seed=0)
    prober = Prober(larger)
    for kind, decoder in DECODERS.items():
        prompt = speaking_prompt(backbone, {"name": "both", "base": TUNINGS["late"], "decoder": decoder})
        before = token_logits(backbone, prompt)
        after = token_logits(larger, carried_prompt(prompt, plan, larger, prober))
        assert relative_change(before, after) < 3e-5, kind


def token_logits(backbone, prompt) -> torch.Tensor:
    """Logits of each token of given targets under a prompt, [texts, tokens, vocabulary]."""
    tuning = build_tuning({key: value for key, value in prompt.tuning.items() if key != "readout"})
    trained = {
        name.removeprefix("tuning."): value for name, value in prompt.tensors.items() if name.startswith("tuning.")
    }
    steering = tuning.steering(backbone, trained)
    pairs = backbone.parallel_texts(["the soup was cold", "a boat"], ["b a", "c"])
    tokens, mask, targets = pairs.batch(torch.arange(2), backbone.pad_token)
    with torch.no_grad():
        return backbone.logits(backbone.below(tokens, mask, steering.entry), mask, targets, steering)


def test_the_prompt_really_speaks(tiny_encoder):
    encoder = tiny_encoder("bert")
    silent = speaking_prompt(encoder, TUNINGS["deep"])
    silent.tensors["tuning.prefix"].zero_()
    spoken = logits(encoder, speaking_prompt(encoder, TUNINGS["deep"]))
    assert float((spoken - logits(encoder, silent)).abs().max()) > 0.01


def test_signatures_are_those_that_would_be_made_on_the_grown_backbone(tiny_encoder):
    encoder = tiny_encoder("bert")
    larger, plan = grown_encoder(encoder, Exact(), Amount(layers=1, width=32), seed=0)
    carried = carried_prompt(speaking_prompt(encoder, TUNINGS["deep"]), plan, larger, Prober(larger))
    tuning = build_tuning(carried_spec(TUNINGS["deep"], plan))
    trained = {"prefix": carried.tensors["tuning.prefix"]}
    own = Prober(larger).signature(tuning, trained, trained, carried.tensors["keys"])
    assert torch.allclose(carried.tensors["signature.state"], own.state, atol=1e-5)
    assert carried.tensors["signature.neurons"].tolist() == own.neurons.tolist()


def test_entry_layers_move_with_depth(tiny_encoder):
    _, plan = grown_encoder(tiny_encoder("bert"), Exact(), Amount(layers=2), seed=0)
    assert carried_spec({"name": "late", "layer": 2}, plan)["layer"] == 3
    assert carried_spec({"name": "chain", "base": {"name": "deep", "layer": 1}}, plan)["base"]["layer"] == 1
    assert carried_spec({"name": "input"}, plan) == {"name": "input"}


@pytest.fixture
def pools(tiny_encoder, tmp_path):
    """A pool of three kinds of prompts, and what it has grown to."""
    encoder = tiny_encoder("mpnet")
    old = PromptPool(tmp_path / "old", encoder.fingerprint, backbone_name="tiny")
    for number, kind in enumerate(("deep", "lora", "late")):
        prompt = speaking_prompt(encoder, TUNINGS[kind], seed=number)
        old.add(dataclasses.replace(prompt, id=f"{kind}-v1", task=kind))
    larger, plan = grown_encoder(encoder, Exact(), Amount(layers=1, width=32), seed=0)
    lineage = Lineage(encoder.fingerprint, "tiny", larger.fingerprint, "tiny+", plan, {"how": "exact"})
    return encoder, old, larger, carry_pool(old, tmp_path / "new", larger, lineage), lineage


def test_a_grown_pool_names_its_parent_and_the_map_and_the_old_one_still_opens(pools):
    encoder, old, larger, new, lineage = pools
    assert new.ids() == old.ids()
    found = read_lineage(new.path)
    assert (found.parent, found.backbone) == (encoder.fingerprint, larger.fingerprint)
    assert found.plan.to_json() == lineage.plan.to_json()
    assert read_lineage(old.path) is None
    PromptPool(old.path, encoder.fingerprint, read_only=True)
    with pytest.raises(PoolError, match="belongs to backbone"):
        PromptPool(new.path, encoder.fingerprint, read_only=True)
    assert new.verify() == []


@pytest.mark.parametrize("name", ["copy", "copy.zip"])
def test_a_grown_pool_takes_its_lineage_along(pools, tmp_path, name):
    _, old, larger, new, lineage = pools
    exported = new.export(tmp_path / name, ["deep-v1"])
    taken = PromptPool(tmp_path / "taken", larger.fingerprint)
    assert [record.id for record in taken.import_(exported)] == ["deep-v1"]
    assert read_lineage(taken.path).plan.to_json() == lineage.plan.to_json()
    if exported.suffix:
        shutil.unpack_archive(exported, tmp_path / "copy")
    found = read_lineage(tmp_path / "copy")
    assert (found.parent, found.plan.to_json()) == (lineage.parent, lineage.plan.to_json())
    assert read_lineage(old.export(tmp_path / "old copy")) is None


def test_a_pool_keeps_the_lineage_that_it_has(pools, tmp_path):
    new = pools[3]
    before = (new.path / "growth.json").read_bytes()
    other = new.export(tmp_path / "other")
    (other / "growth.json").write_bytes(before.replace(b"exact", b"elle"))
    new.import_(other)
    assert (new.path / "growth.json").read_bytes() == before


def test_the_same_pool_grows_to_the_same_bytes(pools, tmp_path):
    _, old, larger, new, lineage = pools
    again = carry_pool(old, tmp_path / "again", larger, lineage)
    for prompt_id in new.ids():
        for name in ("prompt.json", "tensors.safetensors"):
            assert (again.folder(prompt_id) / name).read_bytes() == (new.folder(prompt_id) / name).read_bytes()


def test_texts_go_where_they_went(pools):
    encoder, old, larger, new, _ = pools
    views = [freeze(one, one.tokenize(TEXTS), 0, READOUT) for one in (encoder, larger)]
    before, after = (Router(pool).route(view.profile) for pool, view in zip((old, new), views, strict=True))
    assert [item.prompt for item in before] == [item.prompt for item in after]
    assert [item.similarity for item in before] == pytest.approx([item.similarity for item in after], abs=1e-5)


def test_a_damaged_lineage_is_refused(pools):
    new = pools[3]
    (new.path / "growth.safetensors").write_bytes(b"")
    with pytest.raises(PoolError, match=r"growth.json or growth.safetensors beside it is damaged .* from a copy"):
        read_lineage(new.path)


def test_what_cannot_be_carried_is_refused_with_a_way_out(tiny_encoder):
    encoder = tiny_encoder("bert")
    larger, plan = grown_encoder(encoder, Elle(), Amount(width=8), seed=0)
    with pytest.raises(LearningError, match=r"tuning=compacter keeps its form .* grow exactly, or in depth alone"):
        carried_prompt(speaking_prompt(encoder, TUNINGS["compacter"]), plan, larger, Prober(larger))
    odd = speaking_prompt(encoder, TUNINGS["deep"])
    odd.tensors["method.odd"] = torch.zeros(1)
    with pytest.raises(LearningError, match=r"'odd' of its method, which cannot be carried over"):
        carried_prompt(odd, plan, larger, Prober(larger))


def test_no_prediction_of_prompts_that_minilm_has_learned_changes(minilm, tmp_path):
    spec = {"name": "deep", "length": 3, "layer": 3}
    settings = LearnerSettings(
        method={"name": "scratch"}, tuning=spec, training=TrainingConfig(epochs=1, min_steps=0), seed=1
    )
    learner = Learner(tmp_path / "old", minilm, settings)
    stream = build_stream({"kind": "simulated", "tasks": TASKS[:2], "train": 24, "dev": 12, "test": 16}, 0)
    tasks = [stream.task(name) for name in stream.names]
    for task in tasks:
        learner.learn(task)
    larger, plan = grown_encoder(minilm, Exact(), Amount(layers=2, width=384), seed=0)
    lineage = Lineage(minilm.fingerprint, "minilm", larger.fingerprint, "larger", plan, {})
    pool = carry_pool(learner.pool, tmp_path / "new", larger, lineage)
    again = Learner(pool, larger, dataclasses.replace(settings, tuning=carried_spec(spec, plan)))
    texts = [text for task in tasks for text in task.test["text"]]
    before, after = (one.predict(texts) for one in (learner, again))
    assert {item.prompt for item in before} == {"kitchen-v1", "harbour-v1"}
    for one, other in zip(before, after, strict=True):
        assert (one.prompt, one.label) == (other.prompt, other.label)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


COMPOSED = {
    "progressive": ({"name": "chain"}, ("late", "deep")),
    "attempt": ({"name": "attention", "bottleneck": 5, "temperature": 40.0}, ("late", "input")),
    "l2p": ({"name": "selection", "size": 4, "top": 2}, ("late", "deep")),
    "coda": ({"name": "components", "size": 3}, ("late", "deep")),
    "olora": ({"name": "low_rank_sum"}, ("lora",)),
}


def composed_tensors(encoder, name: str, tuning, draw: torch.Generator) -> dict[str, torch.Tensor]:
    """Tensors of every part that a composition may have."""
    base = [tuning.base.initial(encoder, None, draw) for _ in range(4)]
    if name == "chain" or name == "low_rank_sum":
        parts = {"own": base[0], "earlier": base[1]}
        return {f"{part}/{key}": value for part, own in parts.items() for key, value in own.items()}
    if name == "attention":
        own = {f"own/{key}": value for key, value in base[0].items()}
        sources = {f"sources/{key}": torch.stack([one[key] for one in base[1:]]) for key in base[0]}
        return own | sources | tuning.network(encoder.width, draw)
    lists = {f"own/{key}": torch.stack([one[key] for one in base]) for key in base[0]}
    lists["own/keys"] = torch.randn(4, encoder.width, generator=draw)
    return lists | ({"own/attention": torch.rand(4, encoder.width, generator=draw)} if name == "components" else {})


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("method", COMPOSED)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_logit_of_any_composition_changes_at_exact_growth(tiny_encoder, tiny_generator, family, method, amount):
    encoder = backbone(family, tiny_encoder, tiny_generator)
    larger, plan = grown_encoder(encoder, Exact(), Amount(**AMOUNTS[amount]), seed=0)
    own, bases = COMPOSED[method]
    for kind in bases:
        tuning = build_tuning(own | {"base": TUNINGS[kind]})
        draw = torch.Generator().manual_seed(1)
        tensors = composed_tensors(encoder, own["name"], tuning, draw)
        trained = {name: value + 0.1 for name, value in tensors.items()}
        prompt = with_composition(speaking_prompt(encoder, TUNINGS[kind]), tuning, trained)
        before = logits(encoder, prompt)
        after = logits(larger, carried_prompt(prompt, plan, larger, Prober(larger)))
        assert relative_change(before, after) < 1e-5, kind


def with_composition(prompt, tuning, tensors: dict[str, torch.Tensor]):
    """A prompt whose own tensors are replaced by those of a composition."""
    rest = {name: value for name, value in prompt.tensors.items() if not name.startswith("tuning.")}
    trained = {f"tuning.{name}": value for name, value in tensors.items()}
    spec = tuning.spec() | {"readout": READOUT.spec()}
    return dataclasses.replace(prompt, tensors=rest | trained, tuning=spec)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("kind", ["late", "deep", "lora"])
@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet"])
def test_no_logit_of_a_template_changes_at_exact_growth(tiny_encoder, family, kind, amount):
    encoder = tiny_encoder(family)
    larger, plan = grown_encoder(encoder, Exact(), Amount(**AMOUNTS[amount]), seed=0)
    tuning = build_tuning({"name": "templated", "base": TUNINGS[kind], "template": TEMPLATES[0]})
    prompt = speaking_prompt(encoder, TUNINGS[kind])
    draw = torch.Generator().manual_seed(1)
    own = {f"own/{name}": value + 0.1 for name, value in tuning.base.initial(encoder, None, draw).items()}
    prompt = with_composition(prompt, tuning, own)
    prompt.tensors["head.weight"] = torch.randn(3, tuning.reading_width(encoder), generator=draw) * 0.3
    targets = ["the police"] * len(TEXTS)
    before = logits(encoder, prompt, targets)
    carried = carried_prompt(prompt, plan, larger, Prober(larger))
    after = logits(larger, carried, targets)
    assert relative_change(before, after) < 1e-5
    assert carried.tuning["template"] == TEMPLATES[0]
    assert float((before - logits(encoder, prompt, ["a boat"] * len(TEXTS))).abs().max()) > 1e-3


def kept_network(encoder, tuning, draw: torch.Generator) -> dict[str, torch.Tensor]:
    """What cpt_rd keeps with a prompt, drawn at random."""
    start, shared = (tuning.base.initial(encoder, None, draw) for _ in range(2))
    network = tuning.network({name: value.shape for name, value in start.items()}, draw)
    embedding = torch.randn(tuning.embedding, generator=draw)
    statistics = {
        "means": torch.randn(5, encoder.width, generator=draw),
        "deviation": torch.rand(5, encoder.width, generator=draw),
        "ground": torch.randn(5, 3, generator=draw),
        "labels": torch.arange(5) % 3,
        "embedding": torch.nn.functional.normalize(torch.randn(5, encoder.width, generator=draw), dim=1),
    }
    kept = tuning.beginning(start, shared, network, embedding) | part("statistics", statistics)
    return {f"method.{name}": value for name, value in kept.items()}


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("kind", ["input", "late", "deep"])
@pytest.mark.parametrize("family", ["bert", "mpnet", "t5", "llama"])
def test_the_hypernetwork_of_cpt_rd_writes_the_carried_prompts(tiny_encoder, tiny_generator, family, kind, amount):
    encoder = backbone(family, tiny_encoder, tiny_generator)
    larger, plan = grown_encoder(encoder, Exact(), Amount(**AMOUNTS[amount]), seed=0)
    tuning = Generated(TUNINGS[kind])
    kept = kept_network(encoder, tuning, torch.Generator().manual_seed(1))
    written = tuning.prompt({name.removeprefix("method."): value for name, value in kept.items()})
    prompt = speaking_prompt(encoder, TUNINGS[kind])
    chain = Chain(TUNINGS[kind])
    shared = {name.removeprefix("method.shared/"): value for name, value in kept.items() if "shared/" in name}
    prompt = with_composition(prompt, chain, chained(written, [shared]))
    prompt.tensors.update(kept)
    carried = carried_prompt(prompt, plan, larger, Prober(larger))
    before, after = logits(encoder, prompt), logits(larger, carried)
    assert relative_change(before, after) < 1e-5
    found = kept_tensors(carried)
    again = Generated(carried_spec(TUNINGS[kind], plan))
    for name, value in again.prompt(found).items():  # what h writes now is what has been carried
        torch.testing.assert_close(value, carried.tensors[f"tuning.own/{name}"], rtol=0, atol=1e-5)
    assert found["statistics/means"].shape == (5, larger.width)
    torch.testing.assert_close(found["statistics/embedding"].norm(dim=1), torch.ones(5))


def test_a_network_for_prefixes_whose_heads_are_copied_differently_is_refused(tiny_encoder):
    encoder = tiny_encoder("bert")
    larger, plan = grown_encoder(encoder, Elle(), Amount(width=16), seed=0)
    prompt = speaking_prompt(encoder, TUNINGS["deep"])
    kept = kept_network(encoder, Generated(TUNINGS["deep"]), torch.Generator().manual_seed(1))
    prompt = dataclasses.replace(prompt, tuning={"name": "chain", "base": TUNINGS["deep"], "readout": READOUT.spec()})
    prompt.tensors.update(kept)
    prompt.tensors["tuning.own/prefix"] = prompt.tensors.pop("tuning.prefix")
    with pytest.raises(LearningError, match="whose heads are copied differently; grow exactly or in depth alone"):
        carried_prompt(prompt, plan, larger, Prober(larger))
