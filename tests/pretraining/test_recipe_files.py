"""YAML files of one's own for `continual pretrain` and `continual distil`: defaults of their kind, groups, refusals."""

from pathlib import Path

import pytest

from continual.errors import ConfigError
from continual.pretraining import config as pretraining
from continual.students import session as students

COMPOSE = {"pretrain": pretraining.compose, "distil": students.compose}


def written(folder: Path, text: str) -> str:
    """The path of a YAML file."""
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return str(folder / "mine.yaml")


def test_what_a_file_leaves_out_keeps_the_defaults_of_its_kind(tmp_path):
    mine = students.compose(written(tmp_path, "kind: disco\nstudent: {layers: 2}\nstream: {max_train: 9}\n"))
    packaged = students.compose("disco", ["student.layers=2", "+stream.max_train=9"])
    assert mine.name == "mine"
    own = {"name", "description"}
    assert {key: mine.resolved[key] for key in mine.resolved if key not in own} == {
        key: packaged.resolved[key] for key in packaged.resolved if key not in own
    }
    assert mine.recipe.identity() == packaged.recipe.identity()


def test_a_section_that_names_its_kind_has_no_defaults_of_another(tmp_path, monkeypatch):
    monkeypatch.delenv("CONTINUAL_DATA", raising=False)
    mine = pretraining.compose(written(tmp_path, "kind: translation\npool: {kind: simulated, train: 50}\n"))
    assert mine.resolved["pool"] == {"kind": "simulated", "train": 50}


@pytest.mark.parametrize(
    ("command", "name", "overrides"),
    [
        ("distil", "kd", ["student=BASE", "teachers=[OTHER]"]),
        ("distil", "disco", []),
        ("pretrain", "lifelong", ["strategy=replay"]),
        ("pretrain", "translation-tiny", ["seed=3"]),
    ],
)
def test_the_configuration_of_a_finished_model_repeats_it(tmp_path, command, name, overrides):
    config = COMPOSE[command](name, overrides)
    assert COMPOSE[command](written(tmp_path, config.to_yaml())).resolved == config.resolved


@pytest.mark.parametrize(
    ("command", "name", "group", "choice"),
    [
        ("distil", "disco", "stream", "simulated"),
        ("pretrain", "lifelong", "strategy", "plain"),
        ("pretrain", "translation-tiny", "objectives", "e2s2"),
    ],
)
def test_a_group_that_is_chosen_replaces_the_section_of_the_file(tmp_path, command, name, group, choice):
    compose = COMPOSE[command]
    file = written(tmp_path, compose(name).to_yaml())
    chosen = f"{group}={choice}"
    assert compose(file, [chosen]).resolved == compose(name, [chosen]).resolved != compose(name).resolved
    both = [chosen, "seed=7", "threads=1"]
    assert compose(file, both).resolved == compose(name, both).resolved


def test_a_setting_may_be_called_as_a_group_of_another_command_is(tmp_path):
    """`backbone` is a group of `continual run`; of a student it is a setting, which may be a folder."""
    for file in ("disco", written(tmp_path, "kind: disco\n")):
        for value in (str(tmp_path), "minilm", "./no-such"):
            assert students.compose(file, [f"backbone={value}", "seed=3"]).resolved["backbone"] == value
        given = students.compose(file, ["backbone={name: minilm, pooling: cls}"]).resolved["backbone"]
        assert given == {"name": "minilm", "pooling": "cls"}


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("seed: 1\n", [], "kind is None, expected one of .*disco.*add `kind: NAME`"),
        ("kind: disko\n", [], "named 'disko' .did you mean 'disco'"),
        ("kind: disco\n", ["stream=quikstart"], "no stream named 'quikstart' .did you mean 'quickstart'"),
        ("kind: disco\n", ["sead=1"], "no setting 'sead' .did you mean 'seed'"),
        ("kind: disco\nsead: 1\n", [], "no setting 'sead' .did you mean 'seed'"),
        ("- disco\n", [], "holds no settings"),
        ("kind: [disco\n", [], "not a readable YAML file"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path, text, overrides, message):
    with pytest.raises(ConfigError, match=message):
        students.compose(written(tmp_path, text), overrides)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no file .* or a name from `continual ls students`"):
        students.compose(str(tmp_path / "no.yaml"))
