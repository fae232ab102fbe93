"""What a run stores of its settings, and what becomes of it with another seed."""

import pytest
import yaml
from run_samples import write_config

from continual.config import compose
from continual.errors import ConfigError
from continual.evaluation.groups import decisive
from continual.run import Run
from continual.sweep import Sweep


@pytest.fixture
def table(tmp_path):
    """The folder of a run of a table, made and not begun."""

    def made(*overrides: str):
        path = tmp_path / "texts.csv"
        path.write_text("text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(40)))
        config = compose("table", [f"stream.path={path}", *overrides])
        return Run.create(tmp_path / "runs" / "first", config).folder

    return made


@pytest.mark.parametrize(("given", "expected"), [((), 4), (("stream.split_seed=0",), 0), (("stream.split_seed=7",), 7)])
def test_splits_of_a_stored_configuration_follow_another_seed_unless_they_were_given(table, given, expected):
    stored = table(*given) / "config.yaml"
    assert compose(str(stored), ["seed=4"]).stream["split_seed"] == expected
    assert compose(str(stored), ["seed=4", "stream.split_seed=5"]).stream["split_seed"] == 5


def test_a_run_reads_its_own_settings_as_they_were_composed(table):
    folder = table("seed=3")
    again = Run(folder).config
    assert (again.seed, again.stream["split_seed"], again.resolved["stream"]["split_seed"]) == (3, 3, 3)
    assert yaml.safe_load((folder / "config.yaml").read_text())["stream"]["split_seed"] == "${seed}"


def test_a_run_that_stored_a_number_is_read_as_before(table):
    file = table("seed=3") / "config.yaml"
    file.write_text(file.read_text().replace("${seed}", "3"))
    assert Run(file.parent).config.stream["split_seed"] == 3


def test_every_cell_of_a_sweep_over_a_stored_configuration_has_its_own_splits(table, tmp_path):
    stored, overrides = str(table() / "config.yaml"), ["seed=0,1,2"]
    sweep = Sweep.plan(tmp_path / "sweep", stored, overrides, threads=1)
    configs = [Run(sweep.folder / cell.name).config for cell in sweep.cells]
    assert [config.stream["split_seed"] for config in configs] == [0, 1, 2]
    assert Sweep.plan(sweep.folder, stored, overrides, threads=1).cells == sweep.cells


def test_a_file_that_says_the_seed_alone_decides_the_splits_of_a_named_stream(tiny_folder, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 6\n")
    config = compose(str(file), ["stream=quickstart"])
    assert config.stream["split_seed"] == 6
    assert decisive(config.resolved)["stream.split_seed"] == 6
    own = compose(str(write_config(tmp_path / "small.yaml", tiny_folder("bert"))), ["seed=2"])
    assert "split_seed" not in own.stream  # `build_stream` takes the seed


def test_a_name_alone_stands_for_a_section_of_a_file(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "model").symlink_to(tiny_folder("bert"))
    path = tmp_path / "settings" / "short.yaml"
    path.write_text("stream: simulated\nmethod: spot\ntuning: late\nbackbone: model\nseed: 3\n")
    config = compose(str(path), ["tuning.length=4"])
    assert (config.stream["kind"], config.learner.method, config.seed) == ("simulated", {"name": "spot"}, 3)
    assert (config.learner.tuning["name"], config.learner.tuning["length"]) == ("late", 4)
    assert (config.backbone["name"], config.backbone["path"]) == ("hub", str(tmp_path / "settings" / "model"))
    other = compose(str(path), ["method=scratch", "backbone=minilm"])
    assert (other.learner.method["name"], other.backbone["name"]) == ("scratch", "minilm")
    assert compose(str(path)).resolved == Run.create(tmp_path / "run", compose(str(path))).config.resolved


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: spto", r"no method named 'spto' \(did you mean 'spot'\?\)"),
        ("backbone: ./nowhere", r"backbone=\./nowhere has to be the folder of a saved model, but nothing is there"),
        ("tuning: 3", r"tuning is 3, expected `tuning: \{name: \.\.\.\}`; correct it"),
    ],
)
def test_what_names_nothing_is_refused(tmp_path, text, message):
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        compose(str(tmp_path / "wrong.yaml"))
