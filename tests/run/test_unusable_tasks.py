"""Tasks whose data cannot be used are found before anything is learned, and what reading did is told."""

import json
from pathlib import Path

import pytest
import yaml
from command_line import call
from run_samples import write_config

BAD = "Task 'toys' has only the class '1'"


@pytest.fixture
def shop(tmp_path, tiny_folder):
    """Writes a table of three domains and the settings of a run on it."""

    def written(labels: int = 1, encoding: str = "utf-8", **stream) -> str:
        rows = ["text,label,domain"]
        for domain, count in (("books", 2), ("music", 2), ("toys", labels)):
            rows += [
                f"{domain} {'gut für' if n % 2 else 'bad'} {n},{1 if count == 1 else n % 2},{domain}" for n in range(40)
            ]
        rows += ["no label at all,,books", *["the same again,1,books", "The same again!,0,books"]]
        rows += [f"{'word ' * 60}{n},{n % 2},books" for n in range(4)]
        (tmp_path / "shop.csv").write_bytes("\n".join(rows).encode(encoding))
        table = {"kind": "table", "name": "shop", "path": str(tmp_path / "shop.csv"), "domain": "domain"}
        training = {"epochs": 1, "min_steps": 0}
        changes = {"stream": table | stream, "training": training, "method": {"name": "scratch"}}
        return str(write_config(tmp_path / "shop.yaml", tiny_folder("bert"), **changes))

    return written


def run(settings: str, *overrides: str) -> tuple[int, str, str, Path]:
    runs = Path(settings).parent / "runs"
    return *call("run", settings, *overrides, "--runs-dir", str(runs), "--name", "first"), runs / "first"


def test_validate_lists_every_task_and_refuses_at_the_end(shop):
    code, out, err = call("validate", shop(), "--format", "json")
    assert code == 2
    assert BAD in err
    assert err.count("\n") == 1
    books, music, toys = json.loads(out)["tasks"]
    assert (books["task"], music["task"], music["train"] > 0) == ("books", "music", True)
    assert BAD in toys["error"]
    code, out, _ = call("validate", shop())
    assert code == 2
    assert "music" in out
    assert f"error: toys: {BAD}" in out


def test_a_run_refuses_before_it_learns_the_first_task_and_leaves_no_folder(shop):
    code, _, err, folder = run(shop())
    assert code == 2
    assert BAD in err
    assert "stream.skip_unusable=true" in err
    assert "learned" not in err.replace("anything was learned", "")
    assert not folder.exists()


def test_unusable_tasks_are_left_out_on_request_and_named(shop):
    settings = shop()
    code, _, err, folder = run(settings, "stream.skip_unusable=true")
    assert code == 0, err
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["finished"], summary["tasks"]) == (True, ["books", "music"])
    assert any(note.startswith(f"Task toys was left out: {BAD}") for note in summary["notes"])
    code, out, err = call("validate", settings, "stream.skip_unusable=true", "--format", "json")
    assert code == 0, err
    assert BAD in json.loads(out)["tasks"][2]["skipped"]
    everything = yaml.safe_load(Path(settings).read_text())
    assert "skip_unusable" not in everything["stream"]
    code, _, err = call("validate", settings, "stream.skip_unusable=true", "stream.order=[toys]")
    assert code == 2
    assert "has no usable task" in err


def test_a_named_stream_takes_keys_that_its_file_leaves_out(shop, tmp_path):
    shop()
    given = ("stream.path=" + str(tmp_path / "shop.csv"), "stream.domain=domain", "stream.skip_unusable=true")
    code, out, err = call("validate", "table", *given, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["config"]["stream"]["skip_unusable"] is True
    code, _, err = call("validate", "table", "stream.skip_unusabel=true")
    assert code == 2
    assert "did you mean 'stream." in err


def test_validate_tells_what_reading_did(shop):
    code, out, err = call("validate", shop(labels=2, encoding="latin-1"), "--format", "json")
    assert code == 0
    books, music, _ = json.loads(out)["tasks"]
    assert books["reading"] == {"undecodable_bytes_replaced": 60, "rows_without_label": 1}
    assert (books["repeated_rows"], books["texts_with_conflicting_labels"]) == (1, 1)
    assert (books["cut"], books["max_length"], music["cut"]) == (4, 48, 0)
    assert err.startswith("warning: Reading shop.csv: ")
    assert err.count("\n") == 1
    code, out, _ = call("validate", shop(labels=2))
    assert code == 0
    assert "note: Reading shop.csv: rows without label: 1." in out
    assert "note: Task books: 4 of 46 texts are cut at 48 tokens" in out


def test_a_run_tells_what_reading_did(shop):
    code, _, err, folder = run(shop(labels=2, encoding="latin-1"), "stream.order=[books,music]")
    assert code == 0, err
    assert err.count("warning: Reading shop.csv: undecodable bytes replaced: 60") == 1
    notes = json.loads((folder / "summary.json").read_text())["notes"]
    assert sum("undecodable bytes replaced: 60" in note for note in notes) == 1
    assert any("4 of 46 texts are cut at 48 tokens" in note for note in notes)
    assert "undecodable bytes replaced: 60" in (folder / "report.html").read_text()
