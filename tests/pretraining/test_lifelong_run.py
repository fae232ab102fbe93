"""Lifelong pretraining as a command: killed and continued to the same bits, loaded without our code, used by a run."""

import json
import multiprocessing
import shutil

import pytest
import torch
from command_line import call
from kills import kill_at_random
from lifelong_samples import CAUSAL, EVERYTHING, SMALL, die_in_state, lifelong_numbers, small, work
from run_samples import write_config

from continual.composing import names_in
from continual.errors import BackboneError, ConfigError, Interrupted
from continual.pretraining.config import compose
from continual.pretraining.lifelong.memory import read_memory
from continual.pretraining.lifelong.metrics import average_increase, average_perplexity
from continual.progress import Progress

_PRELOADED = ["lifelong_samples", "pretraining_preload", "continual.pretraining.lifelong.lifelong"]


@pytest.fixture(scope="module")
def workers():
    """Starts processes that have the heavy modules loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@pytest.fixture(scope="module")
def finished(tmp_path_factory, one_thread):
    """An undisturbed model, with all parts of a strategy."""
    made = small(tmp_path_factory.mktemp("undisturbed"), *EVERYTHING)
    made.execute(Progress())
    return made


class StopAfter(Progress):
    """Asks to stop after some steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def advance(self, steps: int) -> None:
        self.steps -= steps
        if self.steps <= 0:
            self._stopping.set()


def expect_same(made, other) -> None:
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (made.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    assert lifelong_numbers(made.summary()) == lifelong_numbers(other.summary())
    assert not made.work.exists()


def test_the_summary_tells_the_matrix_and_what_follows(finished):
    summary = finished.summary()
    matrix, names = summary["perplexity"], ["kitchen", "harbour", "office"]
    assert summary["domains"] == [row["domain"] for row in summary["scores"]] == names
    assert [len(row) for row in matrix] == [3] * 4
    assert all(value > 1 for row in matrix for value in row)
    assert summary["average_perplexity"][0] is None
    assert summary["average_perplexity"][3] == pytest.approx(average_perplexity(matrix[3], 3))
    assert summary["average_increase"][3] == pytest.approx(average_increase(matrix, 3))
    assert [row["change"] for row in summary["scores"]] == pytest.approx(
        [matrix[3][number] - matrix[number + 1][number] for number in range(3)]
    )
    assert [item["stage"] for item in summary["trainings"]] == ["01-kitchen", "02-harbour", "03-office"]
    assert summary["steps"] == 18
    assert summary["prompts"] == {name: f"<domain:{name}>" for name in names}
    assert all(100 < tokens <= 300 for tokens in summary["memory"].values())


def test_the_past_is_replayed_and_watched(finished):
    first, second, third = (item["curve"] for item in finished.summary()["trainings"])
    assert "train_memory" not in first[-1]
    assert {"train_new", "train_memory", "loss/kitchen", "loss/harbour"} <= second[-1].keys()
    assert third[-1]["replay/kitchen"] + third[-1]["replay/harbour"] == pytest.approx(1)


def test_interrupted_and_continued_ends_with_the_same_bits(finished, tmp_path):
    made = small(tmp_path, *EVERYTHING)
    for steps in (3, 5, 6):
        with pytest.raises(Interrupted):
            made.execute(StopAfter(steps))
        assert not made.is_finished
    made.execute(Progress())
    expect_same(made, finished)


def test_killed_at_random_moments_ends_with_the_same_bits(workers, finished, tmp_path):
    hit = kill_at_random(lambda: workers.Process(target=work, args=(str(tmp_path), EVERYTHING)), 7, (0.1, 1), seed=1)
    assert hit >= 2
    made = small(tmp_path, *EVERYTHING)
    made.execute(Progress())
    expect_same(made, finished)


def test_killed_while_a_domain_is_put_away(workers, finished, tmp_path):
    made = small(tmp_path, *EVERYTHING)
    for number in (0, 2):
        process = workers.Process(target=die_in_state, args=(str(tmp_path), EVERYTHING, number))
        process.start()
        process.join()
        assert process.exitcode == -9
        assert not made.folder.exists()
    made.execute(Progress())
    expect_same(made, finished)


@pytest.mark.parametrize("strategy", names_in("pretrain/strategy"))
def test_every_strategy_learns(tmp_path, one_thread, strategy):
    fast = ("training.steps=15", "training.learning_rate=0.03")
    made = small(tmp_path, f"strategy={strategy}", *fast, "+stream.order=[kitchen,harbour]")
    made.execute(Progress())
    summary = made.summary()
    # Held-out text is asked at random places, and self-evolution learns hard ones; what it learns it learns.
    for training in summary["trainings"]:
        assert training["curve"][-1]["train_new"] < training["curve"][0]["train_new"]
    if strategy != "self_evolution":
        assert summary["perplexity"][2][1] < 0.8 * summary["perplexity"][0][1]


def test_held_out_text_is_asked_alike_whatever_the_strategy(tmp_path, one_thread):
    matrices = []
    for strategy in ("plain", "replay"):
        made = small(tmp_path, f"strategy={strategy}", "+stream.order=[kitchen]")
        made.execute(Progress())
        matrices.append(made.summary()["perplexity"])
    assert matrices[0] == matrices[1], "a single domain has no past to replay"


def test_a_masked_model_loads_without_our_code(finished):
    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

    model, report = AutoModelForMaskedLM.from_pretrained(finished.folder, output_loading_info=True)
    assert not report["missing_keys"]
    tokenizer = AutoTokenizer.from_pretrained(finished.folder)
    symbol, *rest = tokenizer("<domain:harbour>hot", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode([symbol]) == "<domain:harbour>"
    assert tokenizer.decode(rest) == "hot"
    read = tokenizer(["The harbour is <mask>."], return_tensors="pt")
    assert model(**read).logits.shape[-1] == len(tokenizer)
    assert AutoModel.from_pretrained(finished.folder)(**read).last_hidden_state.shape[-1] == 16


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_run_takes_it_as_its_backbone(finished, tmp_path, one_thread, by):
    from continual.config import from_file
    from continual.run import Run

    path = [f"backbone={finished.folder}"] if by == "folder" else ["backbone=hub", f"backbone.path={finished.folder}"]
    config = from_file(write_config(tmp_path / "c.yaml", finished.folder), [*path, "method=scratch", "tuning.layer=0"])
    assert config.backbone["name"] == "hub"
    run = Run.create(tmp_path / "run", config)
    run.execute(Progress())
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["finished"]


def test_the_kind_of_a_backbone_is_told_by_its_folder(tiny_folder, tiny_generator_folder):
    from continual.config import compose as compose_run

    for folder, name in (
        (tiny_folder("roberta"), "hub"),
        (tiny_generator_folder("gpt2"), "causal"),
        (tiny_generator_folder("t5"), "seq2seq"),
    ):
        backbone = compose_run("quickstart", [f"backbone={folder}"]).backbone
        assert (backbone["name"], backbone["path"]) == (name, str(folder))


def test_a_causal_model_loads_and_writes_without_our_code(tmp_path, one_thread):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = small(tmp_path, *CAUSAL, "strategy=elle", "strategy.distillation=all", "+stream.order=[kitchen,harbour]")
    made.execute(Progress())
    model, tokenizer = (part.from_pretrained(made.folder) for part in (AutoModelForCausalLM, AutoTokenizer))
    read = tokenizer("<s><domain:kitchen>", return_tensors="pt", add_special_tokens=False)
    written = model.generate(input_ids=read["input_ids"], max_new_tokens=5, do_sample=False)
    assert written.shape[1] > read["input_ids"].shape[1]
    from continual.backbone.generators import causal

    assert causal(path=str(made.folder), max_length=32, max_target=16).width == 16


def test_a_model_without_a_head_gets_one_that_is_trained_alone_first(tmp_path, tiny_folder, one_thread):
    from transformers import AutoModelForMaskedLM

    made = small(tmp_path, f"model.path={tiny_folder('bert')}", "model.head_steps=8")
    with pytest.raises(Interrupted):
        made.execute(StopAfter(9))
    (state,) = made.work.glob("states/0000")
    before, after = (AutoModelForMaskedLM.from_pretrained(folder) for folder in (tiny_folder("bert"), state))
    for (name, first), (_, second) in zip(before.bert.named_parameters(), after.bert.named_parameters(), strict=True):
        assert torch.equal(first, second), name
    assert after.cls.predictions.bias.abs().sum() > 0
    assert after.cls.predictions.decoder.weight is after.bert.embeddings.word_embeddings.weight
    made.execute(Progress())
    assert [item["stage"] for item in made.summary()["trainings"]][:2] == ["head", "01-kitchen"]


@pytest.fixture(scope="module")
def gone_on(finished, tmp_path_factory, one_thread):
    """A pretraining that goes on from the finished model with another domain."""
    made = small(tmp_path_factory.mktemp("on"), *GOES_ON, f"model.path={finished.folder}")
    made.execute(Progress())
    return made


GOES_ON = ("strategy=elle", "strategy.replay=0.5", "strategy.distillation=memory", "+stream.order=[greenhouse,office]")


def test_a_finished_model_goes_on_and_replays_what_it_learned_before(finished, gone_on):
    summary = gone_on.summary()
    assert summary["domains"] == ["greenhouse", "office"]
    first, second = (item["curve"][-1] for item in summary["trainings"])
    assert {"train_memory", "loss/kitchen", "loss/harbour", "loss/office", "loss/greenhouse"} <= first.keys()
    assert {name for name in second if name.startswith("replay/")} == {
        "replay/kitchen",
        "replay/harbour",
        "replay/greenhouse",
    }
    assert [row["domain"] for row in summary["earlier"]] == ["kitchen", "harbour"]
    assert all(row["texts"] > 0 and row["change"] == row["perplexity"] - row["before"] for row in summary["earlier"])
    assert list(summary["memory"]) == ["kitchen", "harbour", "office", "greenhouse"]
    before, after = read_memory(finished.folder), read_memory(gone_on.folder)
    assert after.kept["kitchen"] == before.kept["kitchen"]
    assert after.prompts["office"] == before.prompts["office"], "a domain that comes again has the symbol that it had"
    assert list(read_memory(gone_on.folder).kept) == list(summary["memory"])


def test_going_on_is_resumed_to_the_same_bits(finished, gone_on, tmp_path):
    cut = small(tmp_path, *GOES_ON, f"model.path={finished.folder}")
    for steps in (2, 6):
        with pytest.raises(Interrupted):
            cut.execute(StopAfter(steps))
    cut.execute(Progress())
    expect_same(cut, gone_on)
    assert (cut.folder / "memory.json").read_bytes() == (gone_on.folder / "memory.json").read_bytes()


def test_a_grown_model_keeps_the_memory_and_grows_before_the_first_new_domain(finished, tmp_path, one_thread):
    larger = tmp_path / "larger"
    assert call("grow", str(finished.folder), str(larger), "--layers", "1")[0] == 0
    assert (larger / "memory.json").read_bytes() == (finished.folder / "memory.json").read_bytes()
    settings = ("strategy.expansion=exact", "strategy.recovery=2", f"model.path={larger}")
    made = small(tmp_path, *GOES_ON[:2], "+stream.order=[greenhouse]", *settings)
    made.execute(Progress())
    stages = [(item["stage"], item["domain"]) for item in made.summary()["trainings"]]
    assert stages == [("01-greenhouse-recovery", "office"), ("01-greenhouse", "greenhouse")]


def test_a_strategy_without_replay_leaves_no_texts_beside_the_model(tmp_path, one_thread):
    made = small(tmp_path, "strategy=plain", "+stream.order=[kitchen]")
    made.execute(Progress())
    assert not (made.folder / "memory.json").exists()


def test_a_damaged_memory_is_refused(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "copy")
    (folder / "memory.json").write_text('{"schema": 1}')
    made = small(tmp_path, f"model.path={folder}")
    with pytest.raises(BackboneError, match=r"memory.json is damaged .* or remove it to go on without a memory"):
        made.execute(Progress())


def test_a_model_grows_before_each_domain_and_recovers_on_the_memory(tmp_path, one_thread):
    from transformers import AutoModelForMaskedLM

    whole = small(tmp_path / "whole", *GROWS)
    whole.execute(Progress())
    config = AutoModelForMaskedLM.from_pretrained(whole.folder).config
    assert (config.num_hidden_layers, config.hidden_size) == (3, 32)
    stages = [(item["stage"], item["domain"], item["steps"]) for item in whole.summary()["trainings"]]
    assert stages == [
        ("01-kitchen", "kitchen", 6),
        ("02-harbour-recovery", "kitchen", 3),
        ("02-harbour", "harbour", 6),
        ("03-office-recovery", "harbour", 3),
        ("03-office", "office", 6),
    ]
    cut = small(tmp_path / "cut", *GROWS)
    for steps in (8, 4, 7):  # in a recovery, behind it, in the next domain
        with pytest.raises(Interrupted):
            cut.execute(StopAfter(steps))
    cut.execute(Progress())
    expect_same(cut, whole)


@pytest.mark.parametrize("kind", [(), CAUSAL])
@pytest.mark.parametrize("added", [(), ("strategy.added_layers=0", "strategy.added_width=16")])
def test_an_exact_growth_leaves_perplexities_as_they_were(tmp_path, one_thread, kind, added):
    learns_nothing = ("training.learning_rate=1e-12", "training.weight_decay=0", "+stream.order=[kitchen,harbour]")
    made = small(tmp_path, *kind, "strategy=replay", "strategy.expansion=exact", *added, *learns_nothing)
    made.execute(Progress())
    matrix = made.summary()["perplexity"]
    assert matrix[2] == pytest.approx(matrix[0], rel=1e-4)


GROWS = (
    "strategy=elle",
    "strategy.expansion=elle",
    "strategy.added_width=8",
    "strategy.recovery=3",
    "strategy.distillation=memory",
)
"""Everything at once, with an expansion."""


def test_killed_while_it_grows_ends_with_the_same_bits(workers, tmp_path):
    work(str(tmp_path / "whole"), GROWS)
    folder = str(tmp_path / "killed")
    hit = kill_at_random(lambda: workers.Process(target=work, args=(folder, GROWS)), 7, (0.1, 1.5), seed=2)
    work(folder, GROWS)
    assert hit >= 2
    expect_same(small(tmp_path / "killed", *GROWS), small(tmp_path / "whole", *GROWS))


def test_layers_that_are_multiplied_by_another_library_resume_to_the_same_bits(tmp_path, one_thread):
    """A teacher is a copy of the model, and one that was read from disk must compute as one that has just learned."""
    large = ("model.width=128", "model.inner=256", "training.steps=4", "+stream.order=[kitchen,harbour]")
    settings = (*EVERYTHING, *large)
    whole, cut = (small(tmp_path / name, *settings) for name in ("whole", "cut"))
    whole.execute(Progress())
    for steps in (5, 2):  # behind the first domain, and within the second
        with pytest.raises(Interrupted):
            cut.execute(StopAfter(steps))
    cut.execute(Progress())
    expect_same(cut, whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["strategy.added_width=8"],
            "exact growth keeps the statistics of layer norms for whole multiples alone; add 16",
        ),
        (["strategy.added_width=16"], "2 times by a width of 16, but exact growth"),
    ],
)
def test_a_growth_that_will_be_impossible_is_refused_before_anything_is_learned(tmp_path, settings, message):
    made = small(tmp_path, "strategy=elle", "strategy.expansion=exact", *settings)
    with pytest.raises(ConfigError, match=message):
        made.execute(Progress())
    assert not list(made.work.glob("states/*"))


def test_a_causal_model_grows_too(tmp_path, one_thread):
    from transformers import AutoModelForCausalLM

    grows = ("strategy=elle", "strategy.expansion=exact", "strategy.added_width=16", "+stream.order=[kitchen,harbour]")
    made = small(tmp_path, *CAUSAL, *grows)
    made.execute(Progress())
    config = AutoModelForCausalLM.from_pretrained(made.folder).config
    assert (config.n_layer, config.n_embd) == (2, 32)


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["seed=1"], False),
        (["strategy.replay=0.2"], False),
        (["stream.train=41"], False),
        (["+stream.order=[harbour,kitchen,office]"], False),
        (["training.steps=7"], False),
        (["threads=2"], True),
        (["tracking.experiment=other"], True),
    ],
)
def test_the_key_tells_what_decides_the_model(finished, overrides, same):
    assert (small(finished.cache, *EVERYTHING, *overrides).folder == finished.folder) is same


def test_the_key_depends_on_texts_and_not_on_their_place(tmp_path):
    def key(place, text):
        for name in ("one", "two"):
            file = tmp_path / place / f"{name}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(f"{name} {text} {number}\n" for number in range(80)))
        from continual.pretraining.session import Pretraining

        config = compose("lifelong", ["stream=texts", f"stream.path={tmp_path / place}"])
        return Pretraining(config, tmp_path).key

    assert key("here", "text") == key("there", "text")
    assert key("elsewhere", "other") != key("here", "text")


def test_a_text_as_prompt_adds_no_symbol(tmp_path, one_thread):
    made = small(tmp_path, "strategy=elle", "strategy.prompt=text", "+stream.order=[kitchen,harbour]")
    made.execute(Progress())
    summary = made.summary()
    assert summary["prompts"] == {"kitchen": "kitchen:", "harbour": "harbour:"}
    assert summary["vocabulary"] == 340


def test_the_command_prints_the_averages(finished):
    arguments = ["--cache", str(finished.cache), *SMALL, *EVERYTHING]
    code, out, _ = call("pretrain", "lifelong", *arguments)
    assert code == 0
    assert f"AP {finished.summary()['average_perplexity'][-1]:.2f}, AP+ " in out
    assert str(finished.folder) in out
    code, out, _ = call("pretrain", "lifelong", *arguments, "--format", "json")
    assert json.loads(out)["domains"] == ["kitchen", "harbour", "office"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["strategy=ele"], ["no strategy named 'ele'", "did you mean 'elle'"]),
        (["strategy.repaly=0.1"], ["strategy.repaly", "strategy.replay"]),
        (["model.kind=causal", "strategy=self_evolution"], ["cannot learn by", "model.kind=masked"]),
        (["strategy.distillation=memory", "strategy=plain"], ["strategy.replay above 0"]),
        (["stream=texts"], ["set its key 'path'"]),
        (["stream=texts", "stream.path=nowhere"], ["expected text at nowhere"]),
        (["stream=cl4"], ["CONTINUAL_DATA"]),
        (["+stream.order=[kitchen,attic]"], ["'attic'"]),
        (["model.path=./nowhere"], ["There is no folder nowhere"]),
        (["strategy.expansion=ele"], ["no expansion named 'ele'", "did you mean 'elle'"]),
        (["strategy.expansion=elle", "strategy.added_layers=0"], ["adds nothing"]),
        (["objectives=e2s2"], ["objectives"]),
    ],
)
def test_what_is_wrong_ends_in_one_sentence(monkeypatch, tmp_path, arguments, words):
    monkeypatch.delenv("CONTINUAL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    code, out, err = call(
        "pretrain", "lifelong", *arguments, "tracking.enabled=false", "--cache", str(tmp_path / "cache")
    )
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ")
    assert err.rstrip().endswith(".")
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


def test_windows_beyond_the_models_positions_are_refused(tmp_path, tiny_folder):
    made = small(tmp_path, f"model.path={tiny_folder('bert')}", "model.max_length=66", "strategy=elle")
    with pytest.raises(BackboneError, match=r"reads 66 tokens, .* have 67; lower model.max_length to 65 or less"):
        made.execute(Progress())
