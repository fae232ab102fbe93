"""Modules of the user's own: imported before names are looked up, stored with the run, refused in one sentence."""

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from command_line import call
from plugin_samples import SMALL, forgotten, write_plugin

from continual.config import compose, from_file, parse
from continual.errors import ConfigError
from continual.evaluation.groups import decisive
from continual.methods import METHODS
from continual.places import pool_folder
from continual.plugins import load_plugins, without_plugins
from continual.registered import default_settings
from continual.students import STUDENTS
from continual.sweep.record import digest_of
from streams import build_stream


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path, monkeypatch):
    """Each test begins in a folder of its own with registries as they are, and leaves them so."""
    monkeypatch.chdir(tmp_path)
    with forgotten(tmp_path):
        yield


@pytest.fixture
def plugin(tmp_path) -> Path:
    return write_plugin(tmp_path)


# ---------------------------------------------------------------- where they are named and what is stored


@pytest.mark.parametrize("given", ["[{}]", "{}", "[./{}]", "['{}']"])
def test_a_file_is_named_as_one_likes_and_stored_by_its_path(plugin, given):
    config = compose("quickstart", [f"plugins={given.format(plugin.name)}", "method=mine"])
    assert config.plugins == (str(plugin),)
    assert config.resolved["plugins"] == [str(plugin)]
    assert config.resolved["method"] == {"name": "mine", "rate": 1, "times": 1, "names": ["a"]}


def test_a_stored_configuration_imports_them_again_from_any_folder(plugin, tmp_path, monkeypatch):
    stored = compose("quickstart", [f"plugins={plugin.name}", "method=mine"]).to_yaml()
    (tmp_path / "config.yaml").write_text(stored)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with forgotten(tmp_path):
        METHODS._entries.pop("mine")
        sys.modules.pop(plugin.stem)
        config = from_file(tmp_path / "config.yaml", ["method.times=2"])
        assert "mine" in METHODS
    assert config.learner.method == {"name": "mine", "rate": 1, "times": 2, "names": ["a"]}
    assert parse(config.stored).plugins == config.plugins


def test_a_file_of_settings_names_them_from_its_own_folder(plugin, tmp_path, monkeypatch):
    settings = {"plugins": plugin.name, "stream": {"kind": "few"}, "method": {"name": "mine", "rate": 3}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = compose("../mine.yaml", ["method.times=2"])
    assert config.plugins == (str(plugin),)
    assert config.learner.method == {"name": "mine", "rate": 3, "times": 2, "names": ["a"]}


def test_plugins_on_the_command_line_take_the_place_of_those_in_the_file(plugin, tmp_path):
    (tmp_path / "mine.yaml").write_text("plugins: [gone.py]\nmethod: {name: mine}\n")
    assert compose("mine.yaml", [f"plugins=[{plugin}]"]).plugins == (str(plugin),)


def test_a_module_that_python_finds_anywhere_is_stored_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "installed").mkdir()
    write_plugin(tmp_path / "installed", "mine_installed.py")
    monkeypatch.setattr(sys, "path", ["/nowhere", str(tmp_path / "installed"), *sys.path])
    assert load_plugins(["mine_installed"]) == ["mine_installed"]


def test_a_module_that_only_this_folder_offers_is_stored_by_its_file(plugin, monkeypatch):
    monkeypatch.syspath_prepend("")
    assert load_plugins(plugin.stem) == [str(plugin)]


def test_without_plugins_nothing_is_stored_and_nothing_that_decides_a_run_changes(plugin):
    plain, with_one = compose("quickstart"), compose("quickstart", [f"plugins={plugin.name}"])
    assert "plugins" not in plain.resolved
    assert compose("quickstart", ["plugins=[]"]).resolved == plain.resolved
    assert decisive(with_one.resolved) == decisive(plain.resolved)
    assert digest_of(with_one.resolved) == digest_of(plain.resolved)


def test_the_last_of_several_counts():
    assert without_plugins(["a=1", "plugins=[x]", "+plugins=y"]) == (["a=1"], ["y"])


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["gone.py"], r"names the file .*gone\.py, where nothing is; put it back, or correct the path"),
        (["no_such_module"], r"names 'no_such_module', but the module 'no_such_module' cannot be imported \(ModuleNot"),
        (["mine_for_tests"], r"\(there is a file mine_for_tests\.py here: name that\)"),
        (["json.py"], r"json\.py, but Python takes 'json' for .*json/__init__\.py; give the file another name"),
        (["broken.py"], r"cannot be imported \(NameError: name 'Nothing' is not defined, .*broken\.py, line 2\)"),
        (["taken.py"], r"The method 'panda' is registered already, as continual\.methods\.panda:Panda"),
        ({"a": 1}, r"plugins is \{'a': 1\}, expected modules such as \[my_package\.methods\] or files such as"),
        ([3], r"plugins is \[3\], expected modules"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(plugin, tmp_path, monkeypatch, given, message):
    (tmp_path / "json.py").write_text("")
    (tmp_path / "broken.py").write_text("import math\nNothing.here\n")
    (tmp_path / "taken.py").write_text(
        "from continual.methods import METHODS\n@METHODS.register('panda')\nclass Mine: ...\n"
    )
    monkeypatch.setattr(sys, "path", [it for it in sys.path if it not in ("", os.getcwd())])
    with pytest.raises(ConfigError, match=message) as caught:
        load_plugins(given)
    assert "\n" not in str(caught.value)


def test_what_lies_in_the_folder_of_a_strangers_run_is_not_imported(plugin, tmp_path, monkeypatch):
    """Or opening the run would run whatever code came with it."""
    run = tmp_path / "run"
    run.mkdir()
    write_plugin(run, "come_with_it.py")
    config = compose("quickstart").stored | {"plugins": ["come_with_it.py"]}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"come_with_it\.py, where nothing is"):
        from_file(run / "config.yaml")
    with pytest.raises(ConfigError, match=r"come_with_it\.py, where nothing is"):
        pool_folder(run)


# ---------------------------------------------------------------- names without a file


def test_a_name_without_a_file_has_the_defaults_of_its_constructor(plugin, tiny_folder):
    words = [f"plugins={plugin.name}", "tuning=later", "tuning.length=4", "backbone=small", "max_train=9"]
    words[-1] = "stream.max_train=9"
    config = compose("few", [*words, f"backbone.path={tiny_folder('bert')}", "method=needy", "method.depth=2"])
    assert config.learner.tuning == {"name": "later", "length": 4, "layer": 3, "init": "states", "scale": 0.5}
    assert config.backbone == {"name": "small", "path": str(tiny_folder("bert")), "max_length": 48}
    assert config.learner.method == {"name": "needy", "depth": 2, "rate": 0.5}
    assert config.stream == {"kind": "few", "max_train": 9}
    assert len(build_stream(config.stream, 1).task("kitchen").train) == 9


def test_what_has_no_default_has_to_be_given(plugin, tmp_path, tiny_encoder):
    from continual.participant import check_settings

    config = compose("few", [f"plugins={plugin.name}", "method=needy"])
    with pytest.raises(ConfigError, match=r"The method 'needy' needs method\.depth; add method\.depth=VALUE"):
        check_settings(config.learner, tiny_encoder("bert"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=miine"], r"no method named 'miine' \(did you mean 'mine'\?\); known: agem, .*vega, mine, needy"),
        (["method=mine", "method.tmies=2"], r"no setting 'method\.tmies' \(did you mean 'method\.times'\?\)"),
        (["stream=fwe"], r"no stream named 'fwe' \(did you mean 'few'\?\)"),
        (["tuning=zzz"], r"no tuning named 'zzz'; .*; one of your own is known once what registers it is imported"),
    ],
)
def test_unknown_names_and_options_are_refused_as_those_of_files_are(plugin, words, message):
    with pytest.raises(ConfigError, match=message):
        compose("quickstart", [f"plugins={plugin.name}", *words])


def test_defaults_that_yaml_cannot_hold_are_left_to_the_constructor():
    @METHODS.register("odd")
    class Odd:
        def __init__(self, size: int = 3, made=object(), names: tuple = ("a",), *more, **others) -> None: ...  # noqa: B008

    assert default_settings("method", "odd") == {"name": "odd", "size": 3, "names": ["a"]}


def test_kinds_of_streams_that_have_no_file_of_their_own_are_streams():
    assert compose("twitter", ["stream.path=here"]).stream == {"kind": "twitter", "path": "here"}


def test_a_kind_of_student_is_made_from_a_file_and_known_again(plugin, tmp_path):
    (tmp_path / "copy.yaml").write_text(f"plugins: {plugin.name}\nkind: copy\ntext: words\n")
    words = ("tracking.enabled=false", "text=more words", "--name", "copied", "--format", "json")
    code, out, err = call("distil", "copy.yaml", *words, cwd=tmp_path)
    assert code == 0, err
    folder = Path(json.loads(out)["folder"])
    assert (folder / "text.txt").read_text() == "more words"
    with forgotten(tmp_path):
        STUDENTS._entries.pop("copy")
        sys.modules.pop(plugin.stem)
        code, _, err = call("predict", str(folder), "a text", cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "is a student that `continual distil` made, and has no prompts" in err


def test_small_settings_are_accepted(plugin):
    assert compose("few", [f"plugins={plugin.name}", "method=mine", *SMALL]).threads == 1
