"""What a student is made for: to be the backbone of a pool of prompts, and to learn on when tasks arrive."""

import json

import pytest
from command_line import call
from distilled_samples import made, settings
from run_samples import write_config

from continual.config import compose, from_file
from continual.progress import Progress
from continual.run import Run


@pytest.fixture(scope="module")
def compressed(tmp_path_factory, tiny_folder):
    """A student of one layer less and less width."""
    return made(tmp_path_factory.mktemp("compressed"), settings("tinybert", tiny_folder("bert")))


def test_a_pool_of_prompts_stands_on_a_student(compressed, tmp_path):
    config = write_config(tmp_path / "config.yaml", compressed.folder)
    Run.create(tmp_path / "run", from_file(config)).execute(Progress())
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["finished"]
    assert summary["backbone"] == compressed.folder.name
    assert len(summary["tasks"]) == 3
    assert summary["aware"]["forgetting"] == 0, "the student is frozen there"


def test_each_student_of_an_online_distillation_is_a_backbone(tiny_folder, tmp_path):
    crowd = made(tmp_path, settings("online", tiny_folder("bert"), online={"sequential": True}))
    assert [stage["stage"] for stage in crowd.summary()["stages"]] == ["teaching-1", "teaching-2"]
    for name in ("small", "slim"):
        config = write_config(tmp_path / f"{name}.yaml", crowd.folder / name, tuning={"name": "input", "length": 2})
        Run.create(tmp_path / "runs" / name, from_file(config)).execute(Progress())
        assert (tmp_path / "runs" / name / "summary.json").is_file()


def test_a_student_is_told_from_what_holds_prompts(compressed, tmp_path):
    for words in (["predict", str(compressed.folder), "a text"], ["pool", "ls", str(compressed.folder)]):
        code, _, err = call(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert "is a student that `continual distil` made, and has no prompts; learn some on it with `continual" in err
        assert f"backbone={compressed.folder}`" in err


@pytest.mark.parametrize("recipe", ["tinybert", "disco", "fsd"])
def test_a_student_learns_on_when_a_task_arrives(compressed, tiny_folder, tmp_path, recipe):
    given = settings(recipe, tiny_folder("bert"), student={"path": str(compressed.folder)}, tasks=["harbour"])
    again = made(tmp_path, given)
    assert again.summary()["task"] == "harbour"
    before, after = compressed.summary()["scores"][1], again.summary()["scores"][-1]
    assert before["parameters"] == after["parameters"]
    own, other = ((folder / "model.safetensors").read_bytes() for folder in (compressed.folder, again.folder))
    assert own != other


def test_its_heads_lie_beside_it(compressed):
    from safetensors.torch import load_file

    heads = load_file(compressed.folder / "heads.safetensors")
    assert {name: tuple(value.shape) for name, value in heads.items()} == {
        "kitchen.weight": (2, 24),
        "kitchen.bias": (2,),
        "harbour.weight": (2, 24),
        "harbour.bias": (2,),
    }


def test_it_is_opened_as_it_was_scored(tiny_folder, tmp_path):
    teacher = {"name": "hub", "path": str(tiny_folder("bert")), "pooling": "cls", "max_length": 20}
    student = made(tmp_path, settings("disco", tiny_folder("bert"), backbone=teacher))
    backbone = compose("quickstart", [f"backbone={student.folder}"]).backbone
    assert (backbone["pooling"], backbone["max_length"]) == ("cls", 20)
