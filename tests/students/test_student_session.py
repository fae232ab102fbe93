"""Students from beginning to end: made by the command, killed and continued to the same bits, found again."""

import json
import multiprocessing
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from command_line import call
from kills import kill_at_random
from student_samples import COMMON, base, interrupted, listed, made, numbers, student, work

from continual.errors import ConfigError, Interrupted, RunError, StreamError
from continual.progress import Progress
from continual.students.session import compose

SHORT = ("training.steps=5", "training.learning_rate=0.003", "training.evaluate_every=3")
"""Of each step of a CKD."""


@pytest.fixture(scope="module")
def models(tmp_path_factory, one_thread) -> dict[str, Path]:
    """A base model, a larger one with its vocabulary, and what becomes of them in a few steps of training."""
    root = tmp_path_factory.mktemp("models")
    small, large = base(root), base(root, "model.width=48", "model.decoder_layers=2")
    few = ("training.steps=12", "training.learning_rate=0.01")
    more = ("training.steps=60", "training.learning_rate=0.01")  # as many as give it a BLEU above 0
    return {
        "base": small,
        "student": made("fine_tuning", root, "student", f"student={small}", *more),
        "teacher": made("fine_tuning", root, "teacher", f"student={small}", "task=bistro", *few),
        "large": made("fine_tuning", root, "large", f"student={large}", "task=bistro", *few),
        "malicious": made("fine_tuning", root, "malicious", f"student={small}", "shuffled=1", *few),
    }


@pytest.fixture(scope="module")
def settings(models) -> list[str]:
    """Of a CKD with two teachers, the second of another size."""
    return [f"student={models['student']}", listed(models["teacher"], models["large"]), *SHORT]


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    """An undisturbed student."""
    one = student("ckd", tmp_path_factory.mktemp("undisturbed"), None, *settings)
    one.execute(Progress())
    return one


def expect_same(one, other) -> None:
    assert (one.folder / "model.safetensors").read_bytes() == (other.folder / "model.safetensors").read_bytes()
    assert numbers(one.summary()) == numbers(other.summary())
    assert not one.work.exists(), "what lay beside it is removed"


def test_every_step_is_told(finished):
    summary = finished.summary()
    assert [row["step"] for row in summary["scores"]] == [0, 1, 2]
    assert [row["teacher"] for row in summary["scores"]] == [None, "teacher", "large"]
    bleu = [row["bleu"] for row in summary["scores"]]
    assert min(bleu) > 0
    assert len(set(bleu)) == 3, "equal ones would have no change, and none would be noise"
    for row, stage, before, after in zip(summary["scores"][1:], summary["stages"], bleu, bleu[1:], strict=False):
        assert row["bleu_change"] == pytest.approx(after - before)
        assert 0 < row["noise"] < max(bleu)
        third, fifth = (entry["train_beneficial"] for entry in stage["curve"])
        assert row["beneficial"] == pytest.approx((3 * third + 2 * fifth) / 5)
        assert 0 < row["beneficial"] < 1
    assert summary["gain"] == pytest.approx(bleu[-1] - bleu[0])
    assert summary["mean_bleu"] == pytest.approx((bleu[1] + bleu[2]) / 2)
    falls = [max(0.0, before - after) for before, after in pairwise(bleu)]
    assert summary["accumulative_degradation"] == pytest.approx(sum(falls))
    assert summary["worse_steps"] == sum(row["bleu_change"] < -row["noise"] for row in summary["scores"][1:])
    assert [stage["stage"] for stage in summary["stages"]] == ["teacher-1", "teacher-2"]
    first = summary["stages"][0]["curve"][0]
    parts = {"train_reference", "train_learned", "train_averted", "train_inherited", "train_beneficial"}
    assert parts | {"train_loss", "dev_loss"} <= set(first)
    assert first["train_loss"] == pytest.approx(
        first["train_reference"]
        + 0.5 * (first["train_learned"] + first["train_averted"])
        + 0.5 * first["train_inherited"]
    )


def test_the_weight_of_inheritance_grows(finished):
    second = finished.summary()["stages"][1]["curve"][0]
    assert second["train_loss"] == pytest.approx(
        second["train_reference"]
        + (second["train_learned"] + second["train_averted"]) / 3
        + second["train_inherited"] * 2 / 3
    )


def test_steps_count_on_from_earlier_runs(settings, models, finished, tmp_path):
    """A teacher that arrives later: the student of a finished run learns from it as in one run."""
    first = made("ckd", tmp_path, "first", *settings, listed(models["teacher"]))
    second = student("ckd", tmp_path, "second", *settings, f"student={first}", listed(models["large"]), "ckd.earlier=1")
    second.execute(Progress())
    rows = second.summary()["scores"]
    assert [row["step"] for row in rows] == [1, 2]
    whole = finished.summary()
    assert rows[0]["dev_loss"] == pytest.approx(whole["scores"][1]["dev_loss"], abs=1e-6)
    assert rows[0]["bleu"] == whole["scores"][1]["bleu"]
    assert second.summary()["stages"][0]["stage"] == "teacher-2"
    assert (second.folder / "model.safetensors").read_bytes() == (finished.folder / "model.safetensors").read_bytes()


def test_the_folder_loads_without_our_code(finished):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model, report = AutoModelForSeq2SeqLM.from_pretrained(finished.folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(finished.folder)
    assert not report["missing_keys"]
    assert model.config._attn_implementation != "continual"
    assert tokenizer.backend_tokenizer.padding is tokenizer.backend_tokenizer.truncation is None
    (sample, *_) = finished.summary()["samples"]
    batch = tokenizer([sample[0]], return_tensors="pt")
    written = model.generate(**batch, num_beams=1, max_new_tokens=24)
    assert tokenizer.batch_decode(written, skip_special_tokens=True)[0].strip() == sample[1]


def test_interrupted_and_continued_ends_with_the_same_bits(settings, finished, tmp_path):
    one = student("ckd", tmp_path, None, *settings)
    for steps in (2, 4, 3):  # in the first step, in the second, and there again
        with pytest.raises(Interrupted):
            one.execute(interrupted(steps))
        assert not one.is_finished
    one.execute(Progress())
    expect_same(one, finished)


def test_killed_at_random_moments_ends_with_the_same_bits(settings, finished, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["student_samples", "continual.students.ckd", "transformers.models.marian"])
    hit = kill_at_random(lambda: context.Process(target=work, args=(str(tmp_path), settings)), 6, (0.2, 1.5), seed=0)
    assert hit >= 2
    one = student("ckd", tmp_path, None, *settings)
    one.execute(Progress())
    expect_same(one, finished)


def test_a_finished_stage_needs_its_teacher_no_more(settings, models, tmp_path, monkeypatch):
    one = student("ckd", tmp_path, None, *settings)
    with pytest.raises(Interrupted):
        one.execute(interrupted(7))
    import continual.students.ckd as ckd

    loaded = []
    real = ckd.text_to_text
    monkeypatch.setattr(ckd, "text_to_text", lambda spec, setting: loaded.append(setting) or real(spec, setting))
    one.execute(Progress())
    assert loaded == ["student", "teachers[1]"]


def test_the_same_settings_find_the_student(settings, finished):
    written = (finished.folder / "model.safetensors").stat().st_mtime_ns
    again = student("ckd", finished.root, None, *settings)
    assert again.execute(Progress()) == finished.folder
    assert (finished.folder / "model.safetensors").stat().st_mtime_ns == written
    repeated = compose(str(finished.folder / "config.yaml"))
    assert type(finished)(repeated, finished.root).folder == finished.folder


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("seed=1", False),
        ("task=office", False),
        ("stream.train=119", False),
        ("ckd.negative=0.5", False),
        ("translating.beams=2", False),
        ("threads=2", True),
        ("stream.description=other", True),
        ("tracking.experiment=other", True),
    ],
)
def test_the_key_tells_what_decides_the_student(settings, finished, override, same):
    assert (student("ckd", finished.root, None, *settings, override).folder == finished.folder) is same


def test_the_key_depends_on_models_and_not_on_their_place(settings, models, finished, tmp_path):
    moved = shutil.copytree(models["teacher"], tmp_path / "teacher")
    override = listed(moved, models["large"])
    assert student("ckd", finished.root, None, *settings, override).folder == finished.folder
    (moved / "model.safetensors").write_bytes((models["malicious"] / "model.safetensors").read_bytes())
    assert student("ckd", finished.root, None, *settings, override).folder != finished.folder


def test_a_name_is_taken_once(settings, finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "mine")
    assert student("ckd", tmp_path, "mine", *settings).execute(Progress()) == tmp_path / "mine"
    with pytest.raises(RunError, match=r"holds a model of other settings.*another name"):
        student("ckd", tmp_path, "mine", *settings, "seed=1").execute(Progress())


def test_plain_distillation_is_a_setting(models, tmp_path):
    one = student("kd", tmp_path, "kd", f"student={models['student']}", listed(models["malicious"]), *SHORT)
    one.execute(Progress())
    (stage,) = one.summary()["stages"]
    for entry in stage["curve"]:
        assert entry["train_beneficial"] == 1
        assert not {"train_averted", "train_inherited"} & set(entry), "what has no weight is not computed"
        assert entry["train_loss"] == pytest.approx(entry["train_reference"] + entry["train_learned"])


def test_a_malicious_teacher_is_trained_on_translations_of_others(models):
    from continual.students.fine_tuning import FineTuning

    def targets(share: float) -> tuple[list[str], list[str]]:
        recipe = compose("fine_tuning", [*COMMON, f"student={models['base']}", f"shuffled={share}"]).recipe
        assert isinstance(recipe, FineTuning)
        train = recipe.task.task.train
        return train["target"][:], recipe._train(train)["target"][:]

    own, given = targets(1.0)
    assert sorted(given) == sorted(own)
    assert sum(one == other for one, other in zip(own, given, strict=True)) <= len(own) - len(set(own))
    own, given = targets(0.25)
    assert 28 <= sum(one != other for one, other in zip(own, given, strict=True)) <= 30
    own, given = targets(0.0)
    assert own == given


def test_the_command_shows_every_step(settings, finished):
    arguments = ["ckd", *COMMON, *settings, "--runs-dir", str(finished.root)]
    code, out, _ = call("distil", *arguments)
    assert code == 0
    for word in ("step", "bleu_change", "teacher", "large", "accumulative degradation", str(finished.folder)):
        assert word in out
    code, out, _ = call("distil", *arguments, "--format", "json")
    assert json.loads(out)["folder"] == str(finished.folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ckdd"], ["no student named 'ckdd'", "did you mean 'ckd'"]),
        (["ckd"], ["student is None", "{name: seq2seq, path: FOLDER}"]),
        (["ckd", "student=BASE"], ["teachers is []", "teachers=[FOLDER, ...]"]),
        (["ckd", "student=BASE", "teachers=BASE"], ["teachers is", "expected a list"]),
        (["ckd", "student=BASE", "teachers=[BASE]", "ckd.detection=luck"], ["ckd.detection is 'luck'", "entropy"]),
        (["ckd", "student=BASE", "teachers=[BASE]", "ckd.negative=-1"], ["ckd.negative is -1"]),
        (["ckd", "student=BASE", "teachers=[BASE]", "ckd.inherit=none"], ["ckd.inherit", "ckd.inheritance"]),
        (["ckd", "student=BASE", "teachers=[BASE]", "task=kichen"], ["kichen", "kitchen"]),
        (["ckd", "student=BASE", "teachers=[./no-such]"], ["no folder no-such"]),
        (["ckd", "student=BASE", "teachers=[BASE]", "stream=quickstart"], ["is a classification", "a translation"]),
        (["fine_tuning", "student=BASE", "shuffled=2"], ["shuffled is 2.0", "from 0 to 1"]),
        (["fine_tuning", "student=BASE", "translating.beams=0"], ["translating.beams is 0"]),
        (["fine_tuning", "student={name: minilm}"], ["is the encoder 'minilm'", "seq2seq"]),
        (["fine_tuning", "student={name: marian}"], ["no backbone named 'marian'"]),
        (["fine_tuning", "student={nme: seq2seq}"], ["student.nme"]),
    ],
)
def test_what_is_wrong_ends_in_one_sentence(monkeypatch, tmp_path, models, arguments, words):
    monkeypatch.chdir(tmp_path)
    given = [word.replace("BASE", str(models["base"])) for word in arguments]
    code, out, err = call("distil", *given, "tracking.enabled=false", "--runs-dir", str(tmp_path / "runs"))
    lines = [line for line in err.splitlines() if not line.startswith("before: ")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert lines[0].startswith("error: ")
    assert lines[0].endswith(".")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["disco", "student.layers=9"], "layers"),
        (["disco", "backbone=./no-such"], "no-such"),
        (["fsd", "student.width=100"], "100 wide"),
        (["ckd", "student=BASE", "teachers=[./no-such]"], "no-such"),
        (["fine_tuning", "student=./no-such"], "no-such"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(monkeypatch, tmp_path, models, arguments, word):
    monkeypatch.chdir(tmp_path)
    given = [item.replace("BASE", str(models["base"])) for item in arguments]
    code, _, err = call("distil", *given, "--name", "mine", "--runs-dir", str(tmp_path / "runs"))
    assert (code, word in err) == (2, True)
    left = {path.name for path in (tmp_path / "runs").iterdir()}
    assert left <= {".mine.lock"}, "neither work nor a run in MLflow's database"


def test_a_teacher_with_another_vocabulary_is_refused(models, tmp_path):
    other = base(tmp_path, "model.vocabulary=380")
    one = student("ckd", tmp_path, None, f"student={models['student']}", listed(other), *SHORT)
    with pytest.raises(ConfigError, match=r"teachers\[0\] is .* with 380 tokens .*expected the student's own 400"):
        one.execute(Progress())


def test_named_configurations_are_complete(models):
    """Every setting stands in the YAML files, so that a reader sees all there is; see also the conformance test."""
    import dataclasses

    for name in ("fine_tuning", "ckd", "kd"):
        overrides = [f"student={models['base']}", f"teachers=[{models['base']}]"][: 1 if name == "fine_tuning" else 2]
        config = compose(name, overrides)
        sections = {key: value for key, value in config.resolved.items() if key in ("translating", "ckd", "training")}
        assert set(config.recipe.sections) - {"stream"} <= set(config.resolved)
        for section, values in sections.items():
            fields = {field.name for field in dataclasses.fields(getattr(config.recipe, section))}
            assert fields == set(values), f"{name}: {section}"


def test_a_stream_without_the_task_is_refused(models, tmp_path):
    with pytest.raises(StreamError, match="kitchen"):
        student("fine_tuning", tmp_path, None, f"student={models['base']}", "task=garden")


def test_a_teacher_may_be_of_another_architecture(models, tmp_path):
    from transformers import AutoTokenizer, T5Config, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(models["base"])
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    shape = T5Config(vocab_size=len(tokenizer), **sizes, **ends, decoder_start_token_id=tokenizer.pad_token_id)
    T5ForConditionalGeneration(shape).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    folder = made("ckd", tmp_path, "ckd", f"student={models['student']}", listed(tmp_path / "t5"), *SHORT)
    row = json.loads((folder / "summary.json").read_text())["scores"][1]
    assert row["teacher"] == "t5"
    assert row["beneficial"] < 0.5, "it has learned nothing"


@pytest.mark.parametrize(("family", "backbone"), [("t5", "seq2seq"), ("bart", "seq2seq"), ("gpt2", "causal")])
def test_students_of_other_families(tiny_generator_folder, tmp_path, family, backbone):
    spec = f"{{name: {backbone}, path: {tiny_generator_folder(family)}, max_length: 40, max_target: 20}}"
    common = (f"student={spec}", "training.learning_rate=0.003", "training.evaluate_every=2", "stream.train=24")
    settings = (*common, "translating.max_new_tokens=8")
    folder = made("fine_tuning", tmp_path, "one", *settings, "training.steps=6")
    before, after = json.loads((folder / "summary.json").read_text())["scores"]
    assert after["dev_loss"] < before["dev_loss"]
    folder = made("ckd", tmp_path, "two", *settings, f"teachers=[{spec}]", "training.steps=2")
    assert (folder / "model.safetensors").is_file()


def test_the_saved_student_of_a_widened_model_is_the_one_that_was_scored(models, tmp_path):
    """The positions of a wider Marian are copies, which Hugging Face's library would not save."""
    from continual.growth.command import grow_model
    from continual.growth.exact import Exact
    from continual.growth.sizes import Amount
    from continual.students.models import ModelSpec, text_to_text
    from continual.students.translation import encode, held_out_loss

    grow_model(str(models["base"]), tmp_path / "wide", Exact(), Amount(width=32), seed=0)
    one = student("fine_tuning", tmp_path, "wider", f"student={tmp_path / 'wide'}", *SHORT)
    one.execute(Progress())
    loaded = text_to_text(ModelSpec.parse(str(one.folder), "student", "seq2seq"), "student")
    task = one.config.recipe.task.of_kind("translation")
    assert held_out_loss(loaded, encode(loaded, task.dev)) == one.summary()["scores"][-1]["dev_loss"]
