"""Where relative paths start from."""

from pathlib import Path

import pytest

from continual.config import compose

TEXTS = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(20))


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """An experiment file in another folder than the current one, with its table beside it."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "texts.csv").write_text(TEXTS)
    file = tmp_path / "there" / "mine.yaml"
    file.write_text("stream: {kind: table, name: mine, path: texts.csv}\n")
    monkeypatch.chdir(tmp_path / "here")
    return file


def test_a_path_in_a_file_starts_from_its_folder(experiment, tmp_path):
    assert compose(str(experiment)).stream["path"] == str(tmp_path / "there" / "texts.csv")
    assert compose("../there/mine.yaml").stream["path"].endswith("/texts.csv")
    Path("texts.csv").write_text(TEXTS)
    assert compose(str(experiment)).stream["path"] == str(tmp_path / "there" / "texts.csv")


def test_a_path_on_the_command_line_starts_from_the_current_folder(experiment, tmp_path):
    Path("other.csv").write_text(TEXTS)
    config = compose(str(experiment), ["stream.path=other.csv"])
    assert config.stream["path"] == str(tmp_path / "here" / "other.csv")


def test_a_file_that_was_written_for_the_current_folder_still_works(experiment, tmp_path):
    (tmp_path / "there" / "texts.csv").rename(Path("texts.csv"))
    assert compose(str(experiment)).stream["path"] == str(tmp_path / "here" / "texts.csv")


def test_paths_of_joined_parts_start_there_too(experiment, tmp_path):
    experiment.write_text("stream: {kind: joined, name: two, parts: {a: {kind: table, path: texts.csv}}}\n")
    assert compose(str(experiment)).stream["parts"]["a"]["path"] == str(tmp_path / "there" / "texts.csv")
