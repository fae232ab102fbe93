"""The command line as its user meets it: outputs, JSON, and one clear sentence for everything that is wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import call
from run_samples import write_config

from continual.cli import command


@pytest.fixture(scope="module")
def learned(tmp_path_factory, tiny_folder) -> Path:
    """A finished small run."""
    root = tmp_path_factory.mktemp("cli")
    config = write_config(root / "small.yaml", tiny_folder("bert"), method={"name": "spot"})
    code, _, err = call("run", str(config), "--runs-dir", str(root / "runs"), "--name", "first")
    assert code == 0, err
    return root / "runs" / "first"


def test_help_needs_no_heavy_module():
    loaded = (
        "import sys, continual.cli\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'mlflow', 'faiss', 'hydra', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_run_prints_a_table_and_the_paths(learned):
    code, out, _ = call("report", str(learned))
    assert code == 0
    for part in ("kitchen", "harbour", "office", "forgetting", "report.html", str(learned)):
        assert part in out
    assert (learned / "report.html").read_text().startswith("<!")


def test_results_as_json_are_the_summary(learned):
    code, out, _ = call("report", str(learned), "--format", "json")
    assert code == 0
    assert json.loads(out) == json.loads((learned / "summary.json").read_text())


@pytest.mark.parametrize(
    "kind", ["experiments", "streams", "methods", "tunings", "metrics", "backbones", "transfer", "pretrainings"]
)
def test_every_listing_has_names_and_help(kind):
    code, out, _ = call("ls", kind, "--format", "json")
    assert code == 0
    entries = json.loads(out)
    assert entries
    assert all(entry["name"] and entry["help"] for entry in entries)
    assert call("ls", kind)[0] == 0


def test_predict_with_and_without_the_task(learned):
    code, out, _ = call("predict", str(learned), "the hot soup", "a cold day", "--format", "json")
    assert code == 0
    rows = json.loads(out)
    assert [row["text"] for row in rows] == ["the hot soup", "a cold day"]
    for row in rows:
        assert set(row) >= {"label", "confidence", "task", "prompt", "known", "similarity", "probabilities"}
        assert 0 <= row["confidence"] <= 1
        assert sum(row["probabilities"].values()) == pytest.approx(1)
    code, out, _ = call("predict", str(learned), "the hot soup", "--task", "office", "--format", "json")
    assert code == 0
    assert json.loads(out)[0]["prompt"] == "office-v1"


def test_predict_reads_lines_and_odd_texts(learned, tmp_path):
    source = tmp_path / "texts.txt"
    source.write_text("plain\n\n😀😀\n" + "word " * 200_000 + "\nnul\x00byte\n", encoding="utf-8")
    code, out, err = call("predict", str(learned), "--file", str(source), "--format", "json")
    assert code == 0, err
    assert len(json.loads(out)) == 5


def test_predict_says_what_it_replaced_and_takes_another_encoding(learned, tmp_path):
    source = tmp_path / "texts.txt"
    source.write_bytes("the soup at the café was hot\nthe naïve cook stirred it for hours\n".encode("latin-1"))
    code, _, err = call("predict", str(learned), "--file", str(source), "--format", "json")
    assert code == 0
    assert err == f"note: {source}: 2 characters are no utf-8 and were replaced; name the right --encoding.\n"
    told = call("predict", str(learned), "--file", str(source), "--encoding", "latin-1", "--format", "json")
    assert [row["text"][:20] for row in json.loads(told[1])] == ["the soup at the café", "the naïve cook stirr"]
    assert told[2] == ""


@pytest.mark.parametrize(
    ("name", "content", "words", "message"),
    [
        ("a.csv", "body,label\nsoup,1\n", [], "unknown column 'text'"),
        ("a.jsonl", '{"text": "soup"}\n{"text": null}\n', [], "a.jsonl, line 2: the column 'text' holds no text"),
        ("a.txt", "soup\n", ["--pair-column", "other"], "has lines and no column 'other'; give a table"),
        ("a.txt", "soup\n", ["--encoding", "klingon"], "no known encoding"),
    ],
)
def test_what_cannot_be_read_as_texts_is_one_sentence(learned, tmp_path, name, content, words, message):
    (tmp_path / name).write_text(content)
    code, _, err = call("predict", str(learned), "--file", str(tmp_path / name), *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_pool_commands(learned, tmp_path):
    code, out, _ = call("pool", "ls", str(learned), "--format", "json")
    assert [row["prompt"] for row in json.loads(out)] == ["kitchen-v1", "harbour-v1", "office-v1"]
    code, out, _ = call("pool", "show", str(learned), "harbour-v1", "--format", "json")
    assert json.loads(out)["provenance"]["sources"][0]["prompt"] == "kitchen-v1"
    assert call("pool", "show", str(learned), "harbour-v1")[0] == 0
    code, out, _ = call("pool", "verify", str(learned))
    assert (code, out) == (0, "3 prompts, all sound.\n")
    archive = tmp_path / "pool.zip"
    assert call("pool", "export", str(learned), str(archive))[0] == 0
    code, out, _ = call("pool", "import", str(tmp_path / "other"), str(archive), "--format", "json")
    assert len(json.loads(out)["added"]) == 3
    assert call("pool", "verify", str(tmp_path / "other"))[0] == 0


def test_a_pool_is_used_without_its_run(learned, tmp_path, tiny_folder):
    archive, new = str(tmp_path / "pool.zip"), str(tmp_path / "new")
    assert call("pool", "export", str(learned), archive)[0] == 0
    assert call("pool", "import", new, archive)[0] == 0
    words = ("the hot soup", "--format", "json")
    own = json.loads(call("predict", str(learned), *words)[1])
    code, out, err = call("predict", new, *words)
    assert code == 0, err
    assert json.loads(out) == own

    shutil.copytree(tiny_folder("bert"), tmp_path / "moved")
    header = tmp_path / "new" / "pool.json"
    header.write_text(header.read_text().replace(str(tiny_folder("bert")), str(tmp_path / "gone")))
    code, _, err = call("predict", new, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "gone, where nothing is; put it back, or tell where it is now (on the command line by --backbone" in err
    code, out, err = call("predict", new, *words, "--backbone", str(tmp_path / "moved"))
    assert code == 0, err
    assert json.loads(out) == own
    code, _, err = call("predict", new, *words, "--backbone", str(tmp_path / "moved"), "--backbone", "max_length=40")
    assert code == 2
    assert "belongs to backbone" in err


def test_a_pool_of_an_older_version_is_told_its_backbone(learned, tmp_path, tiny_folder):
    shutil.copytree(learned / "pool", tmp_path / "old")
    header = json.loads((tmp_path / "old" / "pool.json").read_text())
    opening = header.pop("opening")
    assert [opening[key] for key in ("name", "path", "max_length")] == ["hub", str(tiny_folder("bert")), 48]
    (tmp_path / "old" / "pool.json").write_text(json.dumps(header))
    code, _, err = call("predict", str(tmp_path / "old"), "a text")
    assert code == 2
    assert "does not say how that is opened; tell it (on the command line by --backbone FOLDER)" in err
    told = ("--backbone", str(tiny_folder("bert")), "--backbone", "max_length=48")
    code, _, err = call("predict", str(tmp_path / "old"), "a text", *told)
    assert code == 0, err


def test_prompts_are_imported_from_a_run_into_an_empty_folder(learned, tmp_path):
    (tmp_path / "empty").mkdir()
    code, out, err = call("pool", "import", str(tmp_path / "empty"), str(learned), "--format", "json")
    assert code == 0, err
    assert json.loads(out)["added"] == ["kitchen-v1", "harbour-v1", "office-v1"]


def test_a_folder_that_holds_a_pool_is_used_as_the_pool(learned, tmp_path):
    shutil.copytree(learned / "pool", tmp_path / "seed0" / "pool")
    assert call("pool", "ls", str(tmp_path / "seed0")) == call("pool", "ls", str(learned))


def test_compare_prints_every_format(learned):
    for form in ("table", "json", "markdown", "csv"):
        code, out, _ = call("compare", str(learned), "--format", form)
        assert code == 0
        assert "spot" in out


def test_validate_counts_without_learning(tiny_folder, tmp_path):
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    code, out, _ = call("validate", str(config), "--format", "json")
    assert code == 0
    assert [row["train"] for row in json.loads(out)["tasks"]] == [48, 48, 48]


def test_validate_counts_translations_and_their_filters_before_it_refuses_who_cannot_learn_them(tiny_folder, tmp_path):
    rows = "".join(f"sentence {n}\tSatz {n}\n" for n in range(30))
    for domain, more in (("law", "same\tSame.\n"), ("game", "\tleer\n")):
        (tmp_path / "mt" / domain).mkdir(parents=True)
        (tmp_path / "mt" / domain / "train.tsv").write_text("en\tde\n" + rows + more)
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    given = ("validate", str(config), "stream=translation", f"stream.path={tmp_path / 'mt'}")
    code, out, err = call(*given, "--format", "json")
    assert code == 2
    assert "Task 'game' is a translation, but the backbone 'bert' is an encoder" in err
    assert err.count("\n") == 1
    game, law = json.loads(out)["tasks"]
    assert (game["labels"], game["train"], game["dev"], game["test"]) == (None, 19, 3, 8)
    assert (game["dropped"]["empty"], law["dropped"]["empty"], law["dropped"]["identical"]) == (1, 0, 1)
    header, *table = call(*given)[1].splitlines()
    assert header.split()[:9] == ["task", "labels", "train", "dev", "test", "-", "empty", "-", "broken"]
    assert table[0].split()[:7] == ["game", "–", "19", "3", "8", "1", "0"]


def test_validate_of_a_stream_of_translations_is_about_its_data_unless_a_backbone_is_chosen(tmp_path):
    rows = "".join(f"sentence {n}\tSatz {n}\n" for n in range(30))
    (tmp_path / "law.tsv").write_text("en\tde\n" + rows)
    given = ("validate", "translation", f"stream.path={tmp_path}")
    code, out, err = call(*given, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["tasks"][0]["train"] == 19
    assert err.startswith("note: Task 'law' is a translation, but the backbone 'minilm' is an encoder")
    assert call(*given, "backbone=minilm")[0] == 2
    (tmp_path / "game.tsv").write_text("en\tde\none\teins\n")
    code, _, err = call(*given)
    assert code == 2
    assert "'game' has no text for" in err


def test_a_run_refuses_translations_before_it_measures_anything(tiny_folder, tmp_path):
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    runs = ("--runs-dir", str(tmp_path / "runs"), "--name", "first")
    code, _, err = call("run", str(config), "stream=simulated_translation", "stream.train=9", *runs)
    assert code == 2
    assert "Task 'kitchen' is a translation, but the backbone 'bert' is an encoder" in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs" / "first" / "summary.json").exists()


def _damaged(learned: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "damaged"
    shutil.copytree(learned, copy)
    file = copy / "pool" / "prompts" / "office-v1" / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    return copy


BAD_SETTINGS = {
    "unknown experiment": (["run", "phme"], "did you mean 'pheme'"),
    "unknown method": (["run", "{small}", "method=pnada"], "did you mean 'panda'"),
    "another name": (
        ["run", "quickstart", "method.name=spot"],
        "of another method; choose it with its own by method=spot",
    ),
    "another kind": (["run", "{small}", "stream.kind=table"], "choose it with its own by stream=table"),
    "another tuning": (["sweep", "quickstart", "tuning.name=late,input"], "choose it with its own by tuning=late"),
    "unknown method file": (["run", "quickstart", "method=scrach"], "did you mean 'scratch'"),
    "wrong key": (["run", "quickstart", "training.epoch=3"], "did you mean 'training.epochs'"),
    "wrong key of a method": (["run", "quickstart", "method.wieght=3"], "method.weight"),
    "wrong type": (["run", "quickstart", "training.epochs=many"], "expected a whole number"),
    "out of range": (["run", "quickstart", "training.dropout=2"], "expected at least 0 and below 1"),
    "no value": (["run", "quickstart", "seed"], "write it as seed=VALUE"),
    "unknown metric": (["run", "{small}", "transfer.metric=panad"], "did you mean 'panda'"),
    "section for a value": (["run", "quickstart", "tracking=false"], "tracking.enabled"),
    "password": (["run", "quickstart", "tracking.uri=http://me:secret@localhost"], "MLFLOW_TRACKING_PASSWORD"),
    "pooling": (["validate", "quickstart", "backbone.pooling=max"], "expected one of mean, cls"),
    "layer too high at validate": (["validate", "{small}", "tuning.layer=9"], "choose one of them"),
    "broken list": (["run", "quickstart", "stream.order=[a"], "configuration"),
    "layer too high": (["run", "{small}", "tuning.layer=9"], "choose one of them"),
    "missing yaml": (["run", "nowhere.yaml"], "There is no file nowhere.yaml"),
    "missing table": (["run", "table", "stream.path=nowhere.csv", "stream.text=t", "stream.label=l"], "nowhere.csv"),
    "no data folder": (["validate", "pheme"], "CONTINUAL_DATA"),
    "missing run": (["resume", "nowhere"], "is not a run"),
    "missing pool": (["pool", "ls", "nowhere"], "nowhere"),
    "no threads": (["run", "quickstart", "threads=0"], "expected 1 or more"),
    "missing backbone": (["run", "quickstart", "backbone=hub", "backbone.path=./nowhere"], "nowhere"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_input_ends_in_one_sentence_and_exit_code_2(name, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.delenv("CONTINUAL_DATA", raising=False)
    small = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    arguments, expected = BAD_SETTINGS[name]
    code, out, err = call(*(part.replace("{small}", str(small)) for part in arguments), cwd=tmp_path)
    assert not list(tmp_path.glob("runs/*/config.yaml")), "a refused run leaves no folder that takes its name"
    assert code == 2, out + err
    assert expected in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


BAD_TABLES = {
    "missing column": ("words,label\na b,x\nc d,y\n", "text"),
    "empty": ("", "empty"),
    "header only": ("text,label\n", ""),
    "one class": ("text,label\n" + "".join(f"text {i},x\n" for i in range(30)), "class"),
    "ragged": ("text,label\na,x\nb,y,z,w\n", "3"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_tables_end_in_one_sentence(name, tmp_path):
    content, expected = BAD_TABLES[name]
    (tmp_path / "data.csv").write_text(content)
    code, _, err = call(
        "validate", "table", "stream.path=data.csv", "stream.text=text", "stream.label=label", cwd=tmp_path
    )
    assert code == 2
    assert expected in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_a_label_unknown_at_test_time_is_named(tmp_path):
    folder = tmp_path / "tasks" / "one"
    folder.mkdir(parents=True)
    rows = "".join(json.dumps({"text": f"text number {i}", "label": "ab"[i % 2]}) + "\n" for i in range(20))
    (folder / "train.jsonl").write_text(rows)
    (folder / "test.jsonl").write_text(json.dumps({"text": "another", "label": "c"}) + "\n")
    code, _, err = call("validate", "folders", f"stream.path={tmp_path / 'tasks'}", cwd=tmp_path)
    assert code == 2
    assert "'c'" in err
    assert err.count("\n") == 1


def test_corrupt_and_foreign_pools_are_refused(learned, tmp_path, tiny_folder):
    copy = _damaged(learned, tmp_path)
    code, out, _ = call("pool", "verify", str(copy))
    assert code == 2
    assert "office-v1" in out
    code, _, err = call("predict", str(copy), "a text", "--task", "office")
    assert code == 2
    assert "tensors.safetensors" in err
    assert err.count("\n") == 1
    foreign = tmp_path / "foreign"
    shutil.copytree(learned, foreign)
    text = (foreign / "config.yaml").read_text()
    (foreign / "config.yaml").write_text(text.replace(str(tiny_folder("bert")), str(tiny_folder("roberta"))))
    code, _, err = call("predict", str(foreign), "a text")
    assert code == 2
    assert "backbone" in err
    assert err.count("\n") == 1


def test_a_group_on_the_command_line_replaces_the_section_of_a_file(tiny_folder, tmp_path):
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    code, out, err = call(
        "validate", str(config), "method=spot", "tuning=input", "training.epochs=9", "--format", "json"
    )
    assert code == 0, err
    resolved = json.loads(out)["config"]
    assert (resolved["method"], resolved["tuning"]["name"], resolved["training"]["epochs"]) == (
        {"name": "spot"},
        "input",
        9,
    )
    assert resolved["backbone"]["path"] == str(tiny_folder("bert"))


def test_a_run_that_exists_is_not_overwritten(learned, tiny_folder, tmp_path):
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    code, _, err = call("run", str(config), "--runs-dir", str(learned.parent), "--name", learned.name)
    assert code == 2
    assert "continual resume" in err


def test_a_full_disk_ends_in_one_sentence_and_loses_nothing(tiny_folder, tmp_path):
    """The kernel refuses files above a size, as a full disk does; with room again the run goes on."""
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"))
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "from continual.cli import main\n"
        "main()"
    )
    arguments = [sys.executable, "-c", limited, "run", str(config), "--runs-dir", str(tmp_path), "--name", "full"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: Could not write")
    assert "Traceback" not in result.stderr
    code, _, err = call("resume", str(tmp_path / "full"))
    assert code == 0, err
    assert json.loads((tmp_path / "full" / "summary.json").read_text())["finished"]


def test_an_unreachable_tracking_server_is_noted_and_the_run_finishes(tiny_folder, tmp_path):
    tracking = {"enabled": True, "uri": "http://127.0.0.1:9"}
    config = write_config(tmp_path / "small.yaml", tiny_folder("bert"), tracking=tracking)
    code, _, err = call("run", str(config), "--runs-dir", str(tmp_path), "--name", "dark")
    assert code == 0, err
    summary = json.loads((tmp_path / "dark" / "summary.json").read_text())
    assert summary["finished"]
    assert any("127.0.0.1:9" in note for note in summary["notes"])


def test_usage_errors_come_from_click_with_code_2():
    assert CliRunner().invoke(command, ["run"]).exit_code == 2
    assert CliRunner().invoke(command, ["nonsense"]).exit_code == 2


def test_compare_shows_each_run_in_every_form_and_refuses_it_where_both_are_shown(learned, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    for form in ("table", "markdown", "csv"):
        code, out, _ = call("compare", str(learned), "--each-run", "--format", form)
        assert code == 0
        assert "first" in out, form
    code, _, err = call("compare", str(learned), "--each-run", "--format", "json")
    assert code == 2
    assert "--format json has each run as well" in err


def test_headings_of_two_words_stand_above_their_numbers(learned, monkeypatch):
    monkeypatch.setenv("COLUMNS", "104")
    lines = call("compare", str(learned))[1].splitlines()
    last = next(index for index, line in enumerate(lines) if line.split().count("forgetting") == 2)
    end = lines[last].rindex("forgetting") + len("forgetting")
    assert lines[last - 1][:end].endswith("routed")


def test_a_run_notes_its_processor_seconds_and_one_begun_before_that_has_none(learned):
    from continual.results import Results

    assert json.loads((learned / "summary.json").read_text())["seconds"]["cpu"] > 0
    old = json.loads((learned / "state.json").read_text())["results"]
    del old["cpu_seconds"]
    results = Results.from_json(old)
    results.touch(1.0, 1.0)
    assert results.summary(True, {}, []).seconds.cpu is None
