"""Growth in a run and by command: what is recorded, what is shown, and how the result is used."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_samples import TASKS, needs, write_config

from continual.cli import command
from continual.config import compose
from continual.deployment import open_learner
from continual.errors import BackboneError, ConfigError, PoolError, RunError
from continual.growth import capacity
from continual.growth.config import GrowthConfig
from continual.growth.generations import generations
from continual.growth.lineage import read_lineage
from continual.growth.refusals import check_growth
from continual.methods.cpt_rd import Domain
from continual.methods.tapd import TEMPLATES
from continual.pool import PromptPool
from continual.progress import Progress
from continual.run import Run
from continual.settings import LearnerSettings
from streams import build_stream

LITTLE = {"steps": 16, "memory": 8}
SCHEDULE = LITTLE | {"when": "schedule", "at": [2]}
CAPACITY = LITTLE | {"when": "capacity", "probe_epochs": 1}


def started(root: Path, model: Path, growth: dict, **changes) -> Run:
    root.mkdir(exist_ok=True)
    return Run.create(root / "run", compose(str(write_config(root / "small.yaml", model, growth=growth, **changes))))


def summary_of(run: Run) -> dict:
    return json.loads((run.folder / "summary.json").read_text())


def shown(*words: str) -> str:
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def grown(tmp_path_factory, tiny_folder):
    """A run that has grown once, by depth."""
    run = started(tmp_path_factory.mktemp("grown"), tiny_folder("bert"), SCHEDULE)
    run.execute(Progress())
    return run


def test_never_is_the_default_and_leaves_no_trace(tmp_path, tiny_folder):
    plain = started(tmp_path, tiny_folder("bert"), {})
    assert plain.config.learner.growth.when == "never"
    plain.execute(Progress())
    assert summary_of(plain)["growth"] == []
    assert not (plain.folder / "growth").exists()


def test_the_task_is_learned_again_and_old_answers_stay(grown):
    (generation,) = generations(grown.folder)
    pool = PromptPool(generation.pool, read_only=True)
    assert pool.ids() == ["kitchen-v1", "harbour-v1", "harbour-v2", "office-v1"]
    assert pool.record("harbour-v2").provenance["grown"] == "harbour-v1"
    (entry,) = summary_of(grown)["growth"]
    assert set(entry) == {"task", "reason", "evidence", "from", "to", "seconds"}
    assert entry["seconds"] > 0
    kept = entry["evidence"]["answers_kept"], entry["evidence"]["routed_answers_kept"]
    assert min(kept) >= 0.75  # of four texts one may be answered, or routed, otherwise
    matrix = summary_of(grown)["aware"]["matrix"]
    assert matrix[2][0] == pytest.approx(matrix[1][0], abs=0.05)


def test_where_the_first_prompt_stays_the_second_learning_is_paid_for_and_told_of(tmp_path, tiny_folder, monkeypatch):
    from continual import pooled
    from continual.learner import Learner

    store, asked = Learner.store, []

    def slow_and_bad(self, lesson, learned, ground, facts):
        worse = {"dev_accuracy": 0.0, "seconds": 1000.0} if "grown" in facts else {}
        return store(self, lesson, learned, ground, facts | worse)

    def worse(learner, task, prompts):
        asked.append((learner.encoder.depth, [record.id for record in prompts]))
        return [0.25, 0.5]

    monkeypatch.setattr(Learner, "store", slow_and_bad)
    monkeypatch.setattr(pooled, "dev_accuracies", worse)
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE | {"steps": 1})
    run.execute(Progress())
    pool = PromptPool(generations(run.folder)[0].pool, read_only=True)
    assert asked == [(5, ["harbour-v2", "harbour-v1"])]  # the first one as it answers on the grown model
    assert pool.record("harbour-v3").provenance["instead_of"] == "harbour-v2"
    (entry,) = summary_of(run)["growth"]
    assert entry["evidence"]["dev_accuracy_before"] > entry["evidence"]["dev_accuracy_after"] == 0.0
    assert entry["seconds"] > 1000


def test_the_task_that_it_grows_for_neither_teaches_nor_judges(tmp_path, tiny_folder, monkeypatch):
    from continual.growth import stream

    known, learned = [], stream.Learning.run

    def watched(self):
        known.append(([item.texts.task for item in self.distillation.known], self.recovery))
        return learned(self)

    monkeypatch.setattr(stream.Learning, "run", watched)
    growth = SCHEDULE | {"at": [1, 2], "most": 2, "how": "elle", "layers": 1, "recovery": 4}
    run = started(tmp_path, tiny_folder("bert"), growth)
    run.execute(Progress())
    assert known == [([], 0), (["kitchen"], 4)]  # the first task has nothing before it that could be recovered
    first, _ = summary_of(run)["growth"]
    assert first["evidence"]["learned_share"] == first["evidence"]["answers_kept"] == 1.0


def test_accuracy_on_dev_is_that_of_the_stored_prompt(grown):
    from continual.assessment import dev_accuracies

    learner, task = open_learner(grown.folder), build_stream(grown.config.stream, grown.config.seed).task("harbour")
    record = learner.pool.record("harbour-v2")
    answers = [item.label for item in learner.predict(list(task.dev["text"]), task="harbour")]
    right = [answer == task.labels[number] for answer, number in zip(answers, task.dev["label"], strict=True)]
    assert dev_accuracies(learner, task, [record]) == [sum(right) / len(right)]


def test_a_grown_run_predicts_on_its_newest_backbone(grown):
    learner = open_learner(grown.folder)
    assert learner.encoder.depth == 5
    assert learner.predict(["The soup was cold."], task="harbour")[0].prompt == "harbour-v2"
    assert "harbour-v2" in shown("pool", "ls", str(grown.folder))


def test_report_and_command_line_tell_of_growth(grown):
    told = shown("report", str(grown.folder))
    assert "growth of the backbone" in told
    assert "layers 3 to 5" in told
    page = (grown.folder / "report.html").read_text()
    assert '<section id="growth">' in page
    assert "The schedule grows after task 2." in page


def test_metrics_of_growth_are_told_to_the_tracker(grown):
    from continual.results import Results

    state = json.loads((grown.folder / "state.json").read_text())
    results = Results.from_json(state["results"])
    assert "growth/grown" not in results.latest()  # the last task did not grow
    results.per_task.pop()
    assert results.latest()["growth/grown"] == 1.0
    assert results.latest()["growth/layers"] == 5


def test_width_grows_too_and_twice(tmp_path, tiny_folder):
    growth = SCHEDULE | {"at": [1, 2], "most": 2, "how": "elle", "layers": 1, "width": 16, "recovery": 4}
    run = started(tmp_path, tiny_folder("mpnet"), growth)
    run.execute(Progress())
    assert [(entry["to"]["layers"], entry["to"]["width"]) for entry in summary_of(run)["growth"]] == [(4, 48), (5, 64)]
    assert open_learner(run.folder).encoder.width == 64


def test_exact_width_keeps_every_answer(tmp_path, tiny_folder):
    growth = SCHEDULE | {"layers": 0, "width": 32, "steps": 0}
    run = started(tmp_path, tiny_folder("bert"), growth)
    run.execute(Progress())
    (entry,) = summary_of(run)["growth"]
    assert entry["evidence"]["answers_kept_at_growth"] == entry["evidence"]["answers_kept"] == 1.0
    matrix = summary_of(run)["aware"]["matrix"]
    assert matrix[2][0] == matrix[1][0]


def test_a_verdict_against_growth_is_recorded_with_its_evidence(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("bert"), {"when": "capacity", "margin": 0.9, "probe_epochs": 1})
    run.execute(Progress())
    entries = summary_of(run)["growth"]
    assert [entry["task"] for entry in entries] == ["kitchen", "harbour", "office"]
    for entry in entries:
        assert entry["to"] is None
        assert {"gain", "lower", "upper", "texts"} <= set(entry["evidence"])
        assert entry["seconds"] > 0
    assert generations(run.folder) == []
    assert "as it was" in shown("report", str(run.folder))


def test_a_verdict_for_growth_grows_once(tmp_path, tiny_folder, monkeypatch):
    import continual.growth.capacity as capacity

    monkeypatch.setattr(capacity, "judge", lambda *given: (True, "It must.", {"gain": 1.0}))
    run = started(tmp_path, tiny_folder("bert"), CAPACITY)
    run.execute(Progress())
    (entry,) = summary_of(run)["growth"]
    assert (entry["task"], entry["reason"]) == ("kitchen", "It must.")
    assert entry["evidence"]["gain"] == 1.0


@pytest.mark.parametrize("growth", [SCHEDULE | {"at": [1]}, CAPACITY])
@pytest.mark.parametrize("method", ["cpt_rd", "tapd"])
def test_runs_whose_prompts_are_written_or_read_in_ways_of_their_own_grow_too(
    tmp_path, tiny_folder, method, growth, monkeypatch
):
    judge = capacity.judge
    monkeypatch.setattr(capacity, "judge", lambda *given: (True, *judge(*given)[1:]))
    run = started(tmp_path, tiny_folder("bert"), growth | {"width": 32, "layers": 1}, **needs(method))
    run.execute(Progress())
    summary = summary_of(run)
    (entry,) = summary["growth"]
    assert entry["to"]["width"] == 2 * entry["from"]["width"]
    (generation,) = generations(run.folder)
    lineage = read_lineage(generation.pool)
    assert lineage.origin["evidence"]["answers_kept_at_growth"] == 1.0
    assert len(summary["aware"]["matrix"][-1]) == len(summary["tasks"])


def test_prompts_that_came_with_revisions_of_others_are_carried_over(tmp_path, tiny_folder, monkeypatch):
    compare = Domain.compare

    def better(self, lesson, tensors):
        return compare(self, lesson, tensors) | {"gain": 1.0, "standard_error": 0.0, "accuracy_after": 1.0}

    monkeypatch.setattr(Domain, "compare", better)
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE | {"at": [2], "steps": 1}, **needs("cpt_rd"))
    run.execute(Progress())
    (generation,) = generations(run.folder)
    old = PromptPool(run.folder / "pool", read_only=True).get("harbour-v1")
    assert any(name.startswith("revision.") for name in old.tensors)
    carried = PromptPool(generation.pool, read_only=True).get("harbour-v1")
    assert not any(name.startswith("revision.") for name in carried.tensors)
    assert "revises" not in carried.provenance
    assert summary_of(run)["finished"]


def test_probe_and_control_read_as_the_prompt_does(tmp_path, tiny_folder, monkeypatch):
    read = []
    right = capacity.Reading.right

    def watched(self, model):
        read.append(model.tuning.reading)
        return right(self, model)

    monkeypatch.setattr(capacity.Reading, "right", watched)
    started(tmp_path, tiny_folder("bert"), {"when": "capacity", "probe_epochs": 1}, **needs("tapd")).execute(Progress())
    assert read == [TEMPLATES[0]] * 6  # prompt, control and probe of two tasks


def test_a_task_learned_again_with_one_model_for_all_goes_on_from_the_model_before_it(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE | {"steps": 1}, method={"name": "coda", "size": 2})
    run.execute(Progress())
    pool = PromptPool(generations(run.folder)[0].pool, read_only=True)
    first, again = (pool.get(name) for name in pool.ids()[1:3])  # of harbour, both times
    assert again.provenance["learned"] == first.provenance["learned"] == "harbour"
    for name in ("keys", "tuning.earlier/keys"):
        assert again.tensors[name].shape == first.tensors[name].shape


def test_norms_of_a_decoder_before_a_tied_head_are_refused_where_it_becomes_wider(tiny_generator):
    for decoder, refused in ("layer_norm", True), ("lora", False):
        tuning = {"name": "both", "base": {"name": "late"}, "decoder": {"name": decoder}}
        settings = LearnerSettings(
            method={"name": "scratch"}, tuning=tuning, growth=GrowthConfig(**SCHEDULE | {"width": 32})
        )
        with pytest.raises(RunError, match="trains the norms of a decoder") if refused else nullcontext():
            check_growth(settings, tiny_generator("marian"))


@pytest.mark.parametrize(
    ("growth", "changes", "message"),
    [
        ({"how": "elle", "width": 16}, {"tuning": {"name": "both", "base": {"name": "compacter"}}}, "tuning=both keep"),
        ({"how": "elle", "width": 16}, {"tuning": {"name": "compacter"}}, "tuning=compacter keep their meaning only"),
        ({"how": "elle", "width": 16}, {"method": {"name": "l2p"}}, "method=l2p .* keep their meaning only"),
        ({"width": 32}, {"method": {"name": "attempt"}, "tuning": {"name": "deep"}}, "grows in depth alone"),
        (
            {"how": "elle", "width": 16},
            {"method": {"name": "cpt_rd"}, "tuning": {"name": "deep"}},
            "network writes the",
        ),
    ],
)
def test_prompts_that_could_not_be_carried_are_refused_before_the_run_begins(tiny_encoder, growth, changes, message):
    settings = LearnerSettings(
        method=changes.get("method", {"name": "scratch"}),
        tuning=changes.get("tuning", {"name": "late"}),
        growth=GrowthConfig(**SCHEDULE | growth),
    )
    with pytest.raises(RunError, match=message):
        check_growth(settings, tiny_encoder("bert"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"method": {"name": "naive"}}, RunError, "method=naive is a baseline, which has no pool"),
    ],
)
def test_runs_that_could_not_grow_are_refused_before_they_begin(tmp_path, tiny_folder, changes, error, message):
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE, **changes)
    with pytest.raises(error, match=message):
        run.execute(Progress())


def test_a_schedule_beyond_the_end_of_the_stream_is_refused_before_the_run_begins(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE | {"at": [9]})
    with pytest.raises(ConfigError, match=r"growth.at names task 9, but the stream has 3 tasks; name one from 1 to 3"):
        run.execute(Progress())


def test_a_family_that_cannot_grow_is_refused_before_the_run_begins(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("distilbert"), SCHEDULE)
    with pytest.raises(BackboneError, match="family 'distilbert' cannot grow"):
        run.execute(Progress())


def test_a_width_that_exact_growth_cannot_make_is_refused_before_the_run_begins(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("bert"), SCHEDULE | {"width": 8})
    with pytest.raises(ConfigError, match="whole multiples alone; add 32"):
        run.execute(Progress())
    twice = started(tmp_path / "twice", tiny_folder("bert"), SCHEDULE | {"width": 32, "most": 2})
    with pytest.raises(ConfigError, match=r"2 times by a width of 32, but exact growth .* those of 64; grow once"):
        twice.execute(Progress())


def test_a_probe_beyond_the_last_layer_is_refused_before_the_run_begins(tmp_path, tiny_folder):
    run = started(tmp_path, tiny_folder("bert"), CAPACITY | {"probe_layer": 3})
    with pytest.raises(
        ConfigError, match=r"growth\.probe_layer is 3, but the backbone has the layers 0 to 2; lower it"
    ):
        run.execute(Progress())
    assert not list((run.folder / "pool").glob("prompts/*"))


FAMILIES = {"roberta": "hub", "marian": "seq2seq", "t5": "seq2seq", "gpt2": "causal", "llama": "causal"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_grows_in_a_run(tmp_path, tiny_folder, tiny_generator_folder, family):
    folder = (tiny_folder if family == "roberta" else tiny_generator_folder)(family)
    changes = {
        "stream": {"kind": "simulated", "name": "small", "tasks": TASKS[:2], "train": 32, "dev": 16, "test": 16},
        "backbone": {"name": FAMILIES[family], "path": str(folder), "max_length": 24},
        "training": {"epochs": 1, "min_steps": 0},
    }
    run = started(tmp_path, folder, SCHEDULE | {"steps": 4, "layers": 1}, **changes)
    run.execute(Progress())
    (entry,) = summary_of(run)["growth"]
    assert (entry["from"]["layers"], entry["to"]["layers"]) == (3, 4)
    assert entry["evidence"]["answers_kept_at_growth"] == 1.0
    assert summary_of(run)["finished"]
    assert open_learner(run.folder).predict(["The soup was cold."], task="kitchen")[0].prompt == "kitchen-v1"


def test_the_command_grows_a_model_that_transformers_loads(tmp_path, tiny_folder):
    from transformers import AutoModel

    out = tmp_path / "larger"
    told = shown("grow", str(tiny_folder("roberta")), str(out), "--layers", "2", "--width", "32")
    assert "largest change of the states on 16 sentences:" in told
    assert AutoModel.from_pretrained(out).config.num_hidden_layers == 5
    assert read_lineage(out).origin["to"]["width"] == 64
    with pytest.raises(BackboneError, match="exists already; give a new folder"):
        CliRunner().invoke(
            command, ["grow", str(tiny_folder("roberta")), str(out), "--layers", "1"], catch_exceptions=False
        )


def test_the_command_grows_the_pool_of_a_run(grown, tmp_path):
    out = tmp_path / "larger"
    facts = json.loads(shown("grow", str(grown.folder), str(out), "--layers", "1", "--format", "json"))
    assert (facts["prompts"], facts["from"]["layers"], facts["to"]["layers"]) == (4, 5, 6)
    assert facts["change"]["largest"] < 1e-4
    lineage = read_lineage(out / "pool")
    assert lineage.parent == open_learner(grown.folder).encoder.fingerprint
    assert PromptPool(out / "pool", read_only=True).backbone == lineage.backbone


def test_a_grown_pool_opens_beside_its_model_whatever_backbone_it_began_with(grown, tmp_path):
    out, again = tmp_path / "larger", tmp_path / "again"
    shown("grow", str(grown.folder), str(out), "--layers", "1")
    learner = open_learner(grown.folder)
    texts = ["The soup was cold.", "We saw a ship."]
    before = [answer.label for answer in learner.predict(texts, task="harbour")]
    for path in (out, out / "pool", generations(grown.folder)[0].pool):
        opened = open_learner(path)
        assert opened.encoder.max_length == learner.encoder.max_length
        assert [answer.label for answer in opened.predict(texts, task="harbour")] == before
    assert texts[0] in shown("predict", str(out), texts[0])
    assert shown("pool", "ls", str(out)) == shown("pool", "ls", str(out / "pool"))
    assert "all sound" in shown("pool", "verify", str(out))
    shown("pool", "export", str(out), str(tmp_path / "grown.zip"))
    shown("grow", str(out), str(again), "--layers", "1")
    assert open_learner(again).encoder.depth == 7


def test_a_pool_that_was_begun_on_a_grown_model_takes_prompts_and_lineage_of_a_grown_pool(grown, tmp_path):
    from continual.backbone.opening import open_backbone

    out = tmp_path / "larger"
    shown("grow", str(grown.folder), str(out), "--layers", "1")
    origin = read_lineage(out / "pool").origin["backbone"]
    options = {key: value for key, value in origin.items() if key != "kind"}
    encoder = open_backbone({"name": origin["kind"], "path": str(out / "model"), **options})
    begun = tmp_path / "elsewhere" / "begun"
    PromptPool(begun, encoder.fingerprint, opening=encoder.opening)
    shown("pool", "export", str(out), str(tmp_path / "grown.zip"))
    shown("pool", "import", str(begun), str(tmp_path / "grown.zip"))
    assert read_lineage(begun).parent == open_learner(grown.folder).encoder.fingerprint
    text = "The soup was cold."
    assert open_learner(begun).predict([text])[0].label == open_learner(out).predict([text])[0].label


def test_a_grown_pool_without_its_model_says_what_is_missing(grown, tmp_path):
    out = tmp_path / "larger"
    shown("grow", str(grown.folder), str(out), "--layers", "1")
    (out / "model").rename(out / "elsewhere")
    with pytest.raises(PoolError, match=r"grown from 'bert\+1' and is not in .*; put the grown model there"):
        open_learner(out / "pool")


def test_the_help_of_the_command_needs_no_heavy_module():
    assert "MODEL_OR_RUN_OR_POOL" in shown("grow", "--help")
    assert "exact" in shown("ls", "expansions")
