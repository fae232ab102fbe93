"""A stream of translations from its configuration to the printed lines: told and routed, killed and resumed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command_line import call
from run_samples import work
from sacrebleu.metrics import BLEU, CHRF
from test_run_resume import StopAfter, kill_often, numbers, tensors, workers  # noqa: F401  (a fixture)
from tiny_generators import CAUSAL
from translation_samples import DOMAINS, taught, write_translation_config

from continual.backbone.generation import Decoding
from continual.backbone.generators import seq2seq
from continual.config import compose, from_file
from continual.deployment import open_learner
from continual.errors import BackboneError, ConfigError, Interrupted, LearningError, RunError
from continual.evaluation.report import render_report
from continual.evaluation.summary import load_summary
from continual.methods import METHODS
from continual.participant import check_task, open_participant
from continual.progress import Progress
from continual.reading_notes import reading_counts, reading_notes
from continual.results import Results
from continual.run import Run
from continual.training.checkpoint import NoCheckpoints
from continual.training.watch import Silent
from continual.translator import plain
from streams import build_stream


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_generator_folder) -> Path:
    """The folder of a model that knows some words."""
    return taught(tiny_generator_folder("marian"), tmp_path_factory.mktemp("taught") / "marian")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model) -> Run:
    """An undisturbed run of PANDA."""
    root = tmp_path_factory.mktemp("translation")
    config = write_translation_config(root / "small.yaml", model, decoding={"max_new_tokens": 20})
    run = Run.create(root / "run", compose(str(config)))
    work(str(run.folder))
    rows = load_summary(run.folder).aware.matrix
    assert min(rows[0]) > 0, "BLEU of 0 would equal any other"
    assert rows[0] != rows[-1]
    return run


def stream_of(run: Run):
    return build_stream(run.config.stream, run.config.seed)


# ---------------------------------------------------------------- what is measured


def test_the_matrices_are_bleu_and_chrf_of_what_the_stored_prompts_write(finished):
    summary, learner = load_summary(finished.folder), open_learner(finished.folder)
    assert summary.metric == "bleu"
    for place, name in enumerate(summary.tasks):
        test = stream_of(finished).task(name).test
        references = [list(test["target"])]
        for side, told in ((summary.aware, name), (summary.routed, None)):
            written = [item.text for item in learner.translate(list(test["text"]), told)]
            assert side.matrix[-1][place] == pytest.approx(BLEU().corpus_score(written, references).score / 100)
            assert side.chrf_matrix[-1][place] == pytest.approx(CHRF().corpus_score(written, references).score / 100)
    assert summary.aware.macro_f1 is None
    assert summary.aware.macro_f1_matrix is None
    assert summary.per_task[0].chrf is not None


def test_row_0_is_the_backbone_as_it_is(finished, model):
    summary, backbone = load_summary(finished.folder), seq2seq(str(model), max_length=24, max_target=20)
    for place, name in enumerate(summary.tasks):
        test = stream_of(finished).task(name).test
        written = plain(backbone, list(test["text"]), Decoding(max_new_tokens=20))  # long ones in pieces
        expected = BLEU().corpus_score(written, [list(test["target"])]).score / 100
        assert summary.aware.matrix[0][place] == summary.routed.matrix[0][place] == pytest.approx(expected)


def test_nothing_is_forgotten_where_the_task_is_told(finished):
    aware = load_summary(finished.folder).aware
    assert aware.forgetting == aware.bwt == 0
    columns = [[row[place] for row in aware.matrix[place + 1 :]] for place in range(3)]
    assert all(len(set(column)) == 1 for column in columns)


def test_training_lowers_the_loss_of_a_token(finished):
    for record in load_summary(finished.folder).per_task:
        curve = record.stages[-1].curve
        assert curve[-1].dev_loss < curve[0].dev_loss


def test_the_summary_tells_how_it_was_scored_and_how_fast(finished):
    summary = load_summary(finished.folder)
    assert set(summary.signatures) == {"bleu", "chrf"}
    assert "tok:13a" in summary.signatures["bleu"]
    assert "nc:6" in summary.signatures["chrf"]
    assert summary.tokens_per_second.train > 0
    assert summary.tokens_per_second.generate > 0
    assert 0 <= summary.routed.routing_accuracy <= 1
    assert sum(map(sum, summary.routed.confusion.counts)) == 24


def test_each_language_has_its_signature(finished):
    state = json.loads((finished.folder / "state.json").read_text())
    results = Results.from_json(state["results"])
    task = stream_of(finished).task("kitchen")
    results.accept(replace(task, info={**task.info, "target_language": "zh"}))
    found = results.summary(True, {}, []).signatures
    assert list(found) == ["bleu", "chrf", "bleu (zh)"]  # chrF is computed alike
    assert ("tok:13a" in found["bleu"], "tok:zh" in found["bleu (zh)"]) == (True, True)
    assert Results.from_json(results.to_json()).other_languages == ["zh"]


def test_pairs_that_are_cut_are_counted(finished, tiny_generator_folder):
    task = stream_of(finished).task("kitchen")
    pairs = [pair for split in (task.train, task.dev) for pair in zip(split["text"], split["target"], strict=True)]
    for limits in ({"max_length": 8}, {"max_target": 8}, {}):
        backbone = seq2seq(str(tiny_generator_folder("marian")), **limits)
        whole = (backbone.tokenizer([text])["input_ids"][0] for text, _ in pairs)
        written = (backbone.tokenizer(text_target=[target])["input_ids"][0] for _, target in pairs)
        longer = [
            len(one) > backbone.max_length or len(other) > backbone.max_target
            for one, other in zip(whole, written, strict=True)
        ]
        counts = reading_counts(task, backbone)
        assert counts["cut"] == sum(longer)
        notes = [note for note in reading_notes(task, counts) if "to learn from are cut" in note]
        assert len(notes) == bool(sum(longer)) == bool(limits)
    assert notes == []


def test_the_report_shows_samples_and_names_the_metric(finished):
    summary = json.loads((finished.folder / "summary.json").read_text())
    page = (finished.folder / "report.html").read_text()
    assert page == render_report(summary, finished.config.resolved)
    for record in summary["per_task"]:
        assert len(record["samples"]) == 5
        for sample in record["samples"]:
            assert sample["source"] in page
            assert sample["aware"] is not None
    assert "BLEU" in page
    assert "chrF" in page
    assert "accuracy, task told" not in page.lower()


def test_the_command_prints_bleu(finished):
    code, out, _ = call("report", str(finished.folder))
    assert code == 0
    assert "BLEU after the last task" in out
    shown = next(line.split() for line in out.splitlines() if line.startswith("aware "))
    average = json.loads((finished.folder / "summary.json").read_text())["aware"]["average"]
    assert shown[1] == f"{100 * average:.2f}"
    assert "chrf" in out
    assert "nrefs:1" in out
    assert "macro_f1" not in out
    assert "accuracy" not in out
    header = (finished.folder / "matrix.csv").read_text()
    assert "aware_chrf" in header
    assert "f1" not in header


def test_the_command_shows_both_metrics_after_the_last_task(finished, tmp_path):
    folder = tmp_path / "forgetful"
    shutil.copytree(finished.folder, folder)
    summary = json.loads((folder / "summary.json").read_text())
    summary["aware"]["chrf_matrix"][-1] = [0.987, 0.876, 0.765]
    (folder / "summary.json").write_text(json.dumps(summary))
    out = call("report", str(folder))[1]
    assert all(number in out for number in ("98.70", "87.60", "76.50"))


# ---------------------------------------------------------------- stopped and resumed


def test_killed_at_random_moments_it_ends_as_if_undisturbed(workers, finished, tmp_path):  # noqa: F811
    killed = Run.create(tmp_path / "run", finished.config)
    kill_often(workers, killed.folder, kills=5, longest=1.5, seed=0)
    assert numbers(killed.folder) == numbers(finished.folder)
    assert tensors(killed.folder) == tensors(finished.folder)


@pytest.mark.parametrize("steps", [1, 7])
def test_ctrl_c_and_resume_give_the_same_numbers(finished, tmp_path, steps):
    stopped = Run.create(tmp_path / "run", finished.config)
    with pytest.raises(Interrupted):
        stopped.execute(StopAfter(steps))
    work(str(stopped.folder))
    assert numbers(stopped.folder) == numbers(finished.folder)


def test_a_damaged_memory_of_translations_is_refused_with_a_remedy(finished, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(finished.folder, copy)
    (copy / "translations.json").write_text("{")
    with pytest.raises(RunError, match=r"translations\.json is damaged .*; delete it and resume"):
        Run(copy).execute(Progress())


# ---------------------------------------------------------------- prediction


def test_predict_keeps_lines_together(finished, tmp_path):
    long = " ".join(f"the cook found the cold soup near the stove {number}." for number in range(30))
    lines = ["the cook found the soup", "", "the stove moved the cook", "   ", long, "?"]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = ("predict", str(finished.folder), "--file", str(tmp_path / "in.txt"))
    code, out, _ = call(*given)
    assert code == 0
    printed = out.split("\n")
    assert printed.pop() == ""
    assert len(printed) == len(lines)
    assert printed[1] == printed[3] == ""
    rows = json.loads(call(*given, "--format", "json")[1])
    assert [row["source"] for row in rows] == lines
    assert rows[1]["prompt"] is None
    assert {row["task"] for row in rows if row["prompt"]} <= {"kitchen", "office", "canteen"}
    # Two tokens a word: thirty sentences are many pieces of at most 24 tokens, and each is translated.
    assert len(rows[4]["translation"]) > 3 * len(rows[0]["translation"])
    told = json.loads(call(*given, "--format", "json", "--task", "office")[1])
    assert {row["task"] for row in told if row["prompt"]} == {"office"}


def test_predict_of_an_empty_file_writes_nothing(finished, tmp_path):
    (tmp_path / "in.txt").touch()
    assert call("predict", str(finished.folder), "--file", str(tmp_path / "in.txt"))[:2] == (0, "")
    assert call("predict", str(finished.folder))[0] == 2


def test_predict_refuses_pairs(finished):
    code, _, err = call("predict", str(finished.folder), "the soup", "--pair", "the cook")
    assert code == 2
    assert "leave --pair and --pair-column out" in err
    code, _, err = call("predict", str(finished.folder), "the soup", "--int8")
    assert code == 2
    assert "int8 is for encoders" in err


def test_a_learner_of_translations_classifies_nothing(finished):
    learner = open_learner(finished.folder)
    with pytest.raises(LearningError, match="'kitchen' is a translation and no classification"):
        learner.predict(["the soup"], task="kitchen")
    assert learner.evaluate(stream_of(finished).task("office")).bleu == pytest.approx(
        load_summary(finished.folder).aware.matrix[-1][1]
    )


# ---------------------------------------------------------------- methods, families, refusals


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_learns_translations_or_says_that_it_cannot(name, tiny_generator_folder, tmp_path):
    tuning = {"name": "lora", "rank": 2, "layer": 1} if name == "olora" else {"name": "deep", "length": 3, "layer": 1}
    config = write_translation_config(
        tmp_path / "small.yaml", tiny_generator_folder("marian"), method={"name": name}, tuning=tuning
    )
    run = Run.create(tmp_path / "run", compose(str(config)))
    if "translation" not in METHODS.load(name).kinds:
        with pytest.raises(LearningError, match=f"is a translation, but method={name} learns classification tasks"):
            run.execute(Progress())
        return
    run.execute(Progress())
    summary = load_summary(run.folder)
    assert summary.finished
    assert all(record.stages[-1].curve[-1].dev_loss > 0 for record in summary.per_task)
    if METHODS.load(name).shared:
        assert summary.routed.routing_accuracy is None  # one model answers everything
    else:
        assert summary.aware.forgetting == 0
    learner = open_learner(run.folder)
    assert len(learner.translate(["the cook found the soup", "", "the stove"])) == 3


@pytest.mark.parametrize("family", ["t5", "mbart", *CAUSAL])
def test_every_kind_of_backbone_learns_translations(family, tiny_generator_folder, tmp_path):
    config = write_translation_config(tmp_path / "small.yaml", tiny_generator_folder(family), family)
    run = Run.create(tmp_path / "run", compose(str(config), ["method=panda"]))
    run.execute(Progress())
    assert load_summary(run.folder).aware.forgetting == 0


def task_and_settings(tiny_generator_folder, tmp_path, *overrides, **changes):
    config = from_file(
        write_translation_config(tmp_path / "c.yaml", tiny_generator_folder("gpt2"), "gpt2", **changes), overrides
    )
    return build_stream(config.stream, 0).task("kitchen"), config.learner


def test_soft_tokens_inside_a_causal_model_are_refused_before_training(tiny_generator, tiny_generator_folder, tmp_path):
    late = {"name": "late", "length": 2, "layer": 1}
    task, settings = task_and_settings(tiny_generator_folder, tmp_path, tuning=late)
    with pytest.raises(BackboneError, match="writes only with soft tokens at its input"):
        check_task(settings, tiny_generator("gpt2"), task)
    check_task(settings, tiny_generator("t5"), task)


def test_a_task_with_an_unknown_metric_is_refused(tiny_generator, tiny_generator_folder, tmp_path):
    import dataclasses

    task, settings = task_and_settings(tiny_generator_folder, tmp_path)
    with pytest.raises(ConfigError, match="no metric named 'accuracy'; known: bleu, chrf"):
        check_task(settings, tiny_generator("gpt2"), dataclasses.replace(task, metric="accuracy"))


def test_kinds_of_tasks_are_not_mixed_in_a_matrix(tiny_generator_folder, tmp_path):
    parts = {
        "mt": {"kind": "simulated_translation", "order": ["kitchen"], "train": 8, "dev": 4, "test": 4},
        "text": {"kind": "simulated", "order": ["kitchen"], "train": 8, "dev": 4, "test": 4},
    }
    config = write_translation_config(
        tmp_path / "c.yaml", tiny_generator_folder("t5"), "t5", stream={"kind": "joined", "name": "two", "parts": parts}
    )
    run = Run.create(tmp_path / "run", compose(str(config)))
    with pytest.raises(LearningError, match="'text/kitchen' is a classification in a stream of translation tasks"):
        run.execute(Progress())


def test_one_pool_may_hold_both_kinds_and_keeps_them_apart(tiny_generator, tmp_path):
    from continual import Learner
    from streams import SimulatedSource, StreamManager

    settings = from_file(write_translation_config(tmp_path / "c.yaml", Path("unused"))).learner
    learner = Learner(tmp_path / "pool", tiny_generator("t5"), settings)
    domain = build_stream({"kind": "simulated_translation", "train": 16, "dev": 4, "test": 4}, 0).task("kitchen")
    learner.learn(StreamManager(SimulatedSource(train=24, dev=8, test=8)).task("harbour"))
    learner.learn(domain)
    (label,) = learner.predict(["the cook found the cold soup"])
    (text,) = learner.translate(["the boat is small"])
    assert (label.prompt, text.prompt) == ("harbour-v1", "kitchen-v1")
    assert learner.directory.kinds() == {"classification", "translation"}
    assert learner.directory.kinds("harbour") == {"classification"}
    with pytest.raises(LearningError, match="'harbour' is a classification and no translation"):
        learner.translate(["the boat"], "harbour")


# ---------------------------------------------------------------- a classification answered in words


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_a_classification_is_answered_by_the_labels_texts(family, tiny_generator, tiny_generator_folder, tmp_path):
    from continual.backbone.likelihood import target_log_probs
    from continual.tuning import build_tuning
    from continual.tuning.base import trained_tensors

    stream = {"kind": "simulated", "name": "small", "train": 24, "dev": 8, "test": 8, "order": ["kitchen", "office"]}
    given = write_translation_config(
        tmp_path / "c.yaml", tiny_generator_folder(family), family, stream=stream, answers="label"
    )
    run = Run.create(tmp_path / "run", compose(str(given)))
    run.execute(Progress())
    summary = load_summary(run.folder)
    assert summary.metric == "accuracy"
    assert summary.aware.forgetting == 0
    learner = open_learner(run.folder)
    prompt = learner.pool.get("kitchen-v1")
    assert not any(name.startswith(("head.", "ground.")) for name in prompt.tensors)
    texts = ["the soup was hot", "cold", "the cook and the oven"]
    found = learner.predict(texts, task="kitchen")
    backbone = learner.encoder
    spec = {key: value for key, value in prompt.tuning.items() if key != "readout"}
    steering = build_tuning(spec).steering(backbone, trained_tensors(prompt.tensors))
    for text, item in zip(texts, found, strict=True):
        scores = []
        for label in prompt.labels:  # each label as the target of the text, alone in its batch
            parallel = backbone.parallel(backbone.tokenize([text]), backbone.tokenize_targets([label]))
            ids, mask, targets = parallel.batch(torch.tensor([0]), backbone.pad_token)
            hidden = backbone.below(ids, mask, steering.entry)
            scores.append(target_log_probs(backbone.logits(hidden, mask, targets, steering), targets, True))
        shares = torch.softmax(torch.cat(scores).double(), dim=0)
        assert list(item.probabilities.values()) == pytest.approx(shares.tolist(), abs=1e-4)


def test_labels_as_texts_are_refused_for_what_has_no_labels(tiny_generator, tmp_path):
    from continual import Learner, LearnerSettings
    from streams import SimulatedTranslationSource

    task = SimulatedTranslationSource(train=24, dev=8, test=8).load("kitchen")
    with pytest.raises(LearningError, match=r"'kitchen' is a translation, which is always answered in words; leave"):
        Learner(tmp_path, tiny_generator("t5"), LearnerSettings(answers="label", tuning={"name": "input"})).learn(task)


@pytest.mark.parametrize("name", ["per_task", "scratch"])
def test_nothing_is_known_of_a_direction_that_was_never_learned(name, tiny_generator, tmp_path):
    """Before a task is learned, models and prompts of its own direction answer, and no others."""
    domain = {"kind": "simulated_translation", "train": 24, "dev": 8, "test": 8, "tasks": DOMAINS[:2]}
    parts = {"there": domain, "back": domain | {"direction": "toy-en"}}
    stream = build_stream({"kind": "joined", "parts": parts}, 0)
    config = compose(str(write_translation_config(tmp_path / "c.yaml", Path("unused"), method={"name": name})))
    participant = open_participant(tmp_path, "id", tiny_generator("marian"), config.learner, stream)
    first = stream.task("there/kitchen")
    assert participant.unseen(first, 0) is None
    participant.learn(first, 0, NoCheckpoints(), Silent())
    assert participant.unseen(stream.task("there/office"), 1) is not None
    assert participant.unseen(stream.task("back/kitchen"), 1) is None


def test_labels_as_texts_are_refused_where_they_cannot_be(tiny_encoder, tiny_generator, tmp_path):
    from continual import Learner, LearnerSettings
    from streams import SimulatedSource

    task = SimulatedSource(train=24, dev=8, test=8).load("kitchen")
    with pytest.raises(LearningError, match="'bert' is an encoder, which writes nothing; use answers=head"):
        Learner(
            tmp_path / "one", tiny_encoder("bert"), LearnerSettings(answers="label", tuning={"name": "input"})
        ).learn(task)
    settings = LearnerSettings(answers="label", tuning={"name": "input"}, method={"name": "l2p"})
    with pytest.raises(LearningError, match="method=l2p works on heads, which answers=label does without"):
        Learner(tmp_path / "two", tiny_generator("t5"), settings).learn(task)
    with pytest.raises(ConfigError, match="answers is 'words', expected one of head, label"):
        LearnerSettings(answers="words")
