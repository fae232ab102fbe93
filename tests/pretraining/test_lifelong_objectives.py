"""What every objective of lifelong pretraining must do, on tiny models of several families."""

import random
from array import array
from dataclasses import replace

import pytest
import torch

from continual.errors import BackboneError, ConfigError, LearningError
from continual.pretraining.lifelong import OBJECTIVES
from continual.pretraining.lifelong.config import CAUSAL, MASKED, BudgetConfig, ModelConfig, StrategyConfig
from continual.pretraining.lifelong.evaluation import examined, likelihood
from continual.pretraining.lifelong.learning import DomainLearning, Teacher
from continual.pretraining.lifelong.material import Material
from continual.pretraining.lifelong.model import add_symbols, open_model
from continual.pretraining.lifelong.reading import answers, by_tokens, logits_at
from continual.pretraining.lifelong.replay import Replay
from continual.pretraining.lifelong.texts import Frame, Window, windows

TEXTS = (
    "Police confirmed that one person was injured.",
    "Great value",
    "The plane disappeared from radar shortly before noon, sources tell us.",
    "The soup was cold and the waiter was rude.",
)

FAMILIES = [
    (name, family)
    for name in OBJECTIVES.names()
    for family in (("gpt2", "llama") if name == "causal" else ("bert", "roberta", "mpnet", "distilbert"))
]


@pytest.fixture
def opened(tiny_folder, tiny_generator_folder):
    """Gives a tiny model of a family as the recipe opens it."""

    def of(family):
        causal = family in ("gpt2", "llama")
        folder = (tiny_generator_folder if causal else tiny_folder)(family)
        config = ModelConfig(kind=CAUSAL if causal else MASKED, path=str(folder))
        return open_model(config, tuple, seed=0)

    return of


@pytest.fixture
def setting(opened):
    """Gives model, objective, frame and windows under a prompt of two tokens."""

    def of(name, family, **strategy):
        found = opened(family)
        model, tokenizer = found.model.eval(), found.tokenizer
        frame = Frame.of(tokenizer, causal=name == "causal")
        prompt = add_symbols(model, tokenizer, "news", 2, seed=0)
        objective = OBJECTIVES.load(name)(StrategyConfig(**strategy), tokenizer, frame)
        texts = [window.prompted(prompt) for window in windows(tokenizer, TEXTS, 16, "news")]
        return model, objective, frame, objective.prepared(model, texts, 64)

    return of


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_conformance(setting, name, family):
    model, objective, frame, texts = setting(name, family, mask=0.4)
    question = objective.ask(texts, torch.Generator().manual_seed(0))
    batch = frame.batch(texts)
    assert torch.equal(question.whole, batch.ids)
    assert torch.equal(question.attention, batch.attention)
    assert question.read.shape == question.places.shape == batch.ids.shape
    # Nothing but tokens of the texts is asked for, hidden or changed: no prompt, no special token, no padding.
    asked = question.places.roll(1, 1) if name == "causal" else question.places
    assert torch.equal(question.targets, question.whole[asked])
    allowed = batch.ordinary
    assert not (asked & ~allowed).any()
    assert not ((question.read != question.whole) & ~asked).any()
    assert len(question.targets) == int(question.places.sum()) > 0
    again = objective.ask(texts, torch.Generator().manual_seed(0))
    assert torch.equal(question.read, again.read)
    # The loss is a sum with a gradient for the whole model, and leaves its mode alone.
    model.train()
    loss = objective.loss(model, question, answers(model, question))
    assert model.training
    assert loss.shape == ()
    loss.backward()
    # What is summed cannot depend on how texts are put into batches.
    model.eval()
    parts = 0.0
    for text in texts:
        exam = objective.exam(examined([text], "news"))
        parts += float(objective.loss(model, exam, answers(model, exam)).detach())
    whole = objective.exam([examined([text], "news")[0] for text in texts])
    assert float(objective.loss(model, whole, answers(model, whole)).detach()) == pytest.approx(parts, rel=1e-4)


@pytest.mark.parametrize(("name", "family"), [pair for pair in FAMILIES if pair[1] in ("bert", "gpt2")])
def test_a_model_learns_a_text_by_heart(setting, name, family):
    model, objective, frame, texts = setting(name, family)
    # Self-evolution learns the hard tokens alone, so it is examined in those.
    exams = {"news": texts if name == "self_evolution" else examined(texts, "news")}
    strategy = StrategyConfig()
    learning = DomainLearning(
        model, objective, frame, Material(texts, {}, exams), Replay([], {}, 0.0), strategy, None, 60, seed=0
    )
    before = learning.evaluate()["loss"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        model.train()
        optimiser.zero_grad()
        learning.loss(step, torch.arange(len(texts)))[0].backward()
        optimiser.step()
    model.eval()
    assert learning.evaluate()["loss"] < before - 1


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "distilbert", "electra", "gpt2", "llama"])
def test_logits_at_places_are_those_of_the_whole_pass(opened, family):
    model = opened(family).model.eval()
    ids = torch.arange(20, 44).reshape(2, 12)
    attention = torch.ones_like(ids)
    attention[1, 9:] = 0
    places = torch.zeros(2, 12, dtype=torch.bool)
    places[0, 3] = places[1, [1, 8]] = True
    whole = model(input_ids=ids, attention_mask=attention).logits
    torch.testing.assert_close(logits_at(model, ids, attention, places), whole[places])
    assert not model.get_output_embeddings()._forward_pre_hooks, "the hook is gone"


def test_self_evolution_masks_exactly_what_the_model_finds_hard(setting):
    model, objective, frame, texts = setting("self_evolution", "bert", hard=7.0, hard_limit=None)
    batch = frame.batch(texts)
    logits = model(input_ids=batch.ids, attention_mask=batch.attention).logits
    costs = torch.nn.functional.cross_entropy(logits.transpose(1, 2), batch.ids, reduction="none")
    hard = batch.ordinary & (costs > 7.0)
    assert 0 < int(hard.sum()) < int(batch.ordinary.sum())
    question = objective.ask(texts, torch.Generator().manual_seed(3))
    with_hard = hard.any(1)
    assert torch.equal(question.places[with_hard], hard[with_hard])
    assert (question.read[hard] == objective.mask).all(), "always the mask: no random and no kept tokens"


def test_self_evolution_falls_back_to_random_masks(setting):
    _, objective, _, texts = setting("self_evolution", "bert", hard=1e9, mask=0.5)
    assert all(text.asked == () for text in texts)
    first, second = (objective.ask(texts, torch.Generator().manual_seed(seed)).places for seed in (0, 1))
    assert first.any()
    assert not torch.equal(first, second)


def test_the_smoothing_is_the_current_models_word_on_the_whole_sentence(setting):
    model, objective, _, texts = setting("self_evolution", "bert", smoothing=0.3)
    question = objective.ask(texts, torch.Generator().manual_seed(0))
    logits = answers(model, question)
    whole = logits_at(model, question.whole, question.attention, question.places).softmax(-1)
    expected = torch.nn.functional.one_hot(question.targets, logits.shape[1]) * 0.7 + 0.3 * whole
    loss = -(expected * logits.log_softmax(-1)).sum()
    torch.testing.assert_close(objective.loss(model, question, logits), loss)


def test_a_causal_text_begins_with_a_start_and_its_end_is_asked_for(opened):
    found = opened("gpt2")
    frame = Frame.of(found.tokenizer, causal=True)
    assert frame.start == frame.end == (found.tokenizer.eos_token_id,), "GPT-2 has one token for both"
    objective = OBJECTIVES.load("causal")(StrategyConfig(), found.tokenizer, frame)
    question = objective.ask([Window((30, 31), prompt=(40,)), Window((32,))], torch.Generator())
    end = frame.end[0]
    assert question.read.tolist() == [[end, 40, 30, 31, end], [end, 32, end, frame.pad, frame.pad]]
    assert question.places.tolist() == [[False, True, True, True, False], [True, True, False, False, False]]
    assert question.targets.tolist() == [30, 31, end, 32, end]


def test_only_the_last_piece_ends_its_text(opened):
    found = windows(opened("bert").tokenizer, [TEXTS[2], "?"], 5, "news")
    assert [window.ends for window in found] == [*[False] * (len(found) - 2), True, True]


def test_windows_hold_four_bytes_for_each_token(opened):
    found = windows(opened("bert").tokenizer, TEXTS, 16, "news")
    assert all(isinstance(window.ids, array) and window.ids.itemsize == 4 for window in found)
    assert replace(found[0], asked=(0,)).ids is found[0].ids
    assert Window((3, 4)) == Window([3, 4])


def test_windows_cut_long_texts_into_pieces_of_like_length(opened):
    tokenizer = opened("bert").tokenizer
    whole = tokenizer(TEXTS[2], add_special_tokens=False)["input_ids"]
    found = windows(tokenizer, ["", TEXTS[2], "?"], 5, "news")
    assert [token for window in found[:-1] for token in window.ids] == whole
    sizes = {len(window.ids) for window in found[:-1]}
    assert max(sizes) <= 5
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(LearningError, match="domain 'news' hold no token"):
        windows(tokenizer, ["", " "], 5, "news")


def test_held_out_places_follow_from_domain_and_number_alone():
    texts = [Window(tuple(range(20))), Window((1,))]
    first = examined(texts, "news")
    assert first == examined(texts, "news")
    assert [window.asked for window in examined([text.prompted((7, 8)) for text in texts], "news")] == [
        window.asked for window in first
    ]
    assert first[0].asked != examined(texts, "other")[0].asked
    assert first[1].asked == (0,), "one at least"


def test_held_out_likelihood_is_that_of_one_text_after_the_other(setting):
    model, objective, frame, texts = setting("masked", "bert")
    exams = examined(texts, "news")
    nats, tokens = likelihood(model, objective, frame, exams)
    parts = [likelihood(model, objective, frame, [exam]) for exam in exams]
    assert tokens == sum(count for _, count in parts)
    assert nats == pytest.approx(sum(part for part, _ in parts), rel=1e-5)


def test_texts_are_grouped_by_length():
    assert by_tokens([3, 9, 4, 8], 18) == [[1, 3], [2, 0]]
    assert by_tokens([30], 18) == [[0]]


def test_symbols_are_read_as_one_token_and_leave_the_rest_alone(opened):
    found = opened("bert")
    ids, attention = torch.arange(20, 30)[None], torch.ones(1, 10, dtype=torch.long)
    places = attention.bool()
    before = logits_at(found.model, ids, attention, places)
    symbols = add_symbols(found.model, found.tokenizer, "news", 2, seed=0)
    assert found.tokenizer("<domain:news><domain:news/2> Great", add_special_tokens=False)["input_ids"][:2] == list(
        symbols
    )
    torch.testing.assert_close(logits_at(found.model, ids, attention, places)[:, : before.shape[1]], before)
    assert add_symbols(found.model, found.tokenizer, "news", 2, seed=0) == symbols


def test_distillation_is_where_the_strategy_says(setting):
    model, objective, frame, texts = setting("masked", "bert")
    material = Material(texts, {"old": texts}, {})

    def loss(distillation, taught):
        strategy = StrategyConfig(replay=0.5, distillation=distillation)
        replay = Replay(["old"], {"old": 1.0}, 0.5)
        learning = DomainLearning(model, objective, frame, material, replay, strategy, taught, 10, seed=0)
        return {name: float(part.detach()) for name, part in learning.loss(4, torch.arange(4))[1].items()}

    teacher = Teacher(model, model.config.vocab_size)
    plain, memory, everywhere = loss("none", None), loss("memory", teacher), loss("all", teacher)
    # A teacher that is the model itself leaves only the share of the own loss: step 4 of 10.
    assert memory["new"] == pytest.approx(plain["new"])
    assert memory["memory"] == pytest.approx(0.4 * plain["memory"], rel=1e-4)
    assert everywhere["new"] == pytest.approx(0.4 * plain["new"], rel=1e-4)


@pytest.mark.parametrize(("new", "old"), [(10, 60), (60, 10), (30, 50), (40, 40)])
def test_replayed_texts_have_their_share_of_the_tokens_whatever_the_lengths(setting, new, old):
    model, objective, frame, _ = setting("masked", "bert")
    rows = 900 // (new + frame.size)
    current, memory = [Window([30] * new)] * rows, [Window([31] * old)] * 50
    material = Material(current, {"old": memory}, {})
    learning = DomainLearning(
        model, objective, frame, material, Replay(["old"], {"old": 1.0}, 0.2), StrategyConfig(), None, 1, seed=0
    )
    tokens = {"new": 0, "memory": 0}
    for step in range(400):
        for group, texts in learning._groups([*range(rows)], random.Random(step)).items():
            tokens[group] += sum(map(frame.length, texts))
    assert tokens["memory"] / sum(tokens.values()) == pytest.approx(0.2, abs=0.02)
    assert sum(tokens.values()) / 400 == pytest.approx(rows * (new + frame.size), rel=0.02)


def test_the_replayed_texts_of_a_step_are_of_like_length(setting):
    model, objective, frame, _ = setting("masked", "bert")
    material = Material([Window([30] * 20)] * 40, {"old": [Window([31] * size) for size in range(1, 100)]}, {})
    learning = DomainLearning(
        model, objective, frame, material, Replay(["old"], {"old": 1.0}, 0.5), StrategyConfig(), None, 1, seed=0
    )
    seen = set()
    for step in range(300):
        sizes = {len(text.ids) for text in learning._groups([*range(40)], random.Random(step)).get("memory", ())}
        assert max(sizes) - min(sizes) <= 16
        seen |= sizes
    assert len(seen) > 90, "all of the memory is read in the end"


@pytest.mark.parametrize(("family", "head"), [("bert", "cls.predictions.decoder"), ("roberta", "lm_head.decoder")])
def test_a_head_beside_the_embeddings_stays_its_own_when_symbols_are_added(opened, tmp_path, family, head):
    found = opened(family)
    model = found.model.eval()
    assert model.config.tie_word_embeddings
    module = model.get_submodule(head)
    module.weight = torch.nn.Parameter(torch.randn_like(module.weight))
    ids, attention = torch.arange(20, 30)[None], torch.ones(1, 10, dtype=torch.long)
    before = logits_at(model, ids, attention, attention.bool())
    add_symbols(model, found.tokenizer, "news", 2, seed=0)
    model.save_pretrained(tmp_path)
    for other in (model, type(model).from_pretrained(tmp_path).eval()):
        after = logits_at(other, ids, attention, attention.bool())
        assert after.shape[1] == before.shape[1] + 2
        torch.testing.assert_close(after[:, :-2], before)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ModelConfig(kind="mask"), "model.kind is 'mask'"),
        (lambda: ModelConfig(width=30, heads=4), "multiple of model.heads"),
        (lambda: ModelConfig(vocabulary=5), "model.vocabulary is 5"),
        (lambda: StrategyConfig(objective="maskd"), "did you mean 'masked'"),
        (lambda: StrategyConfig(distillation="memory"), "strategy.replay above 0"),
        (lambda: StrategyConfig(replay=1.0), "strategy.replay is 1.0"),
        (lambda: StrategyConfig(recovery=5), "strategy.expansion=NAME"),
        (lambda: StrategyConfig(added_layers=2), "strategy.expansion=NAME or strategy.added_layers=1"),
        (lambda: StrategyConfig(added_width=64), "strategy.expansion=NAME or strategy.added_width=0"),
        (lambda: StrategyConfig(added_inner=8), "strategy.expansion=NAME or strategy.added_inner=0"),
        (lambda: StrategyConfig(temperature=0.0), "above 0"),
        (lambda: StrategyConfig(smoothing=2.0), "strategy.smoothing is 2.0"),
        (lambda: StrategyConfig(objective="causal").objective_for(MASKED), "model.kind=causal"),
        (lambda: StrategyConfig(objective="self_evolution").objective_for(CAUSAL), "model.kind=masked"),
        (lambda: BudgetConfig(steps=0), "training.steps is 0"),
        (lambda: BudgetConfig(schedule="linear"), "training.schedule is 'linear'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_a_model_of_another_kind_is_refused(tiny_folder, tiny_generator_folder):
    def opening(kind, path):
        return open_model(ModelConfig(kind=kind, path=str(path)), tuple, seed=0)

    with pytest.raises(BackboneError, match=r"is a gpt2 model, which is causal, expected one of model.kind=masked"):
        opening(MASKED, tiny_generator_folder("gpt2"))
    with pytest.raises(BackboneError, match=r"is a bert model, which is masked, expected one of model.kind=causal"):
        opening(CAUSAL, tiny_folder("bert"))
    with pytest.raises(BackboneError, match="which is an encoder-decoder"):
        opening(MASKED, tiny_generator_folder("bart"))


def test_a_piece_that_is_cut_off_asks_for_no_end(setting):
    _, objective, frame, texts = setting("causal", "gpt2")
    whole, cut = (replace(texts[0], ends=ends) for ends in (True, False))
    generator = torch.Generator().manual_seed(0)
    asked = [objective.ask([window], generator).targets.tolist() for window in (whole, cut)]
    assert asked[0] == [*asked[1], *frame.end]
