"""New mixtures of stored prompts: sources are added and taken away without training."""

from dataclasses import replace

import pytest
import torch
from command_line import call
from run_samples import write_config

from continual.config import from_file
from continual.errors import PoolError
from continual.learner import Learner
from continual.mixing import REMIXED, remixed
from continual.pool import PromptPool
from continual.progress import Progress
from continual.run import Run
from continual.tuning.base import trained_tensors

TEXTS = ["the soup was hot", "a small boat", "slow work"]


@pytest.fixture(scope="module")
def finished(tiny_folder, tmp_path_factory):
    """A run of attempt: kitchen, harbour (mixed with kitchen), office (mixed with both)."""
    folder = tmp_path_factory.mktemp("attempt")
    settings = {
        "method": {"name": "attempt", "sources": 1, "start": "fresh"},
        "readout": {"layers": "none", "terms": 0},  # so that answers are the prompt's alone
    }
    config = write_config(folder / "config.yaml", tiny_folder("bert"), **settings)
    Run.create(folder / "run", from_file(config)).execute(Progress())
    return folder / "run"


@pytest.fixture
def pool(finished, tmp_path):
    """Its prompts with classifiers that tell any two states apart, which those of so small a model hardly do."""
    pool, generator = PromptPool(tmp_path / "pool"), torch.Generator().manual_seed(0)
    for name in PromptPool(finished / "pool", read_only=True).ids():
        prompt = PromptPool(finished / "pool", read_only=True).get(name)
        head = torch.randn(prompt.tensors["head.weight"].shape, generator=generator)
        pool.add(replace(prompt, tensors=prompt.tensors | {"head.weight": head}))
    return pool


def own(pool: PromptPool, name: str) -> torch.Tensor:
    tensors = trained_tensors(pool.get(name).tensors)
    return tensors.get("own/prompt", tensors.get("prompt"))


def test_a_source_is_added_and_taken_away_again(pool, finished, tiny_encoder):
    learner = Learner(pool, tiny_encoder("bert"), from_file(finished / "config.yaml").learner)
    (first,) = (source["prompt"] for source in pool.record("office-v1").provenance["sources"])
    other = ({"kitchen-v1", "harbour-v1"} - {first}).pop()
    before = learner.predict(TEXTS, task="office")
    wider = remixed(pool, "office-v1", add=[other])
    assert (wider.id, wider.version, wider.provenance[REMIXED]) == ("office-v2", 2, "office-v1")
    assert "dev_accuracy" not in wider.provenance  # nobody has asked the new mixture about dev texts
    assert [source["prompt"] for source in wider.provenance["sources"]] == [first, other]
    stacked = trained_tensors(pool.get("office-v2").tensors)["sources/prompt"]
    assert torch.equal(stacked, torch.stack([own(pool, first), own(pool, other)]))
    changed = learner.predict(TEXTS, task="office")
    assert [item.prompt for item in changed] == ["office-v2"] * 3
    assert [item.probabilities for item in changed] != [item.probabilities for item in before]
    remixed(pool, "office-v2", remove=[other])
    again = learner.predict(TEXTS, task="office")
    assert [item.prompt for item in again] == ["office-v3"] * 3
    assert [item.probabilities for item in again] == [item.probabilities for item in before]


def test_one_source_may_take_the_place_of_another(pool):
    (first,) = (source["prompt"] for source in pool.record("office-v1").provenance["sources"])
    other = ({"kitchen-v1", "harbour-v1"} - {first}).pop()
    record = remixed(pool, "office-v1", add=[other], remove=[first])
    stacked = trained_tensors(pool.get(record.id).tensors)["sources/prompt"]
    assert torch.equal(stacked, own(pool, other)[None])


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("kitchen-v1", {"add": ["harbour-v1"]}, "kitchen-v1 is no mixture of prompts"),
        ("office-v1", {}, "Nothing is to be added to office-v1 or removed from it"),
        ("office-v1", {"remove": ["office-v1"]}, "office-v1 is no source of office-v1, which has"),
        ("office-v1", {"add": ["office-v1"]}, "office-v1 is in office-v1 already"),
        ("office-v1", {"add": ["harbour-v9"]}, "harbour-v9"),
    ],
)
def test_bad_wishes_are_refused(pool, prompt, options, message):
    count = len(pool)
    with pytest.raises(PoolError, match=message):
        remixed(pool, prompt, **options)
    assert len(pool) == count


def test_the_last_source_stays(pool):
    (first,) = (source["prompt"] for source in pool.record("office-v1").provenance["sources"])
    with pytest.raises(PoolError, match=f"Without {first} nothing is left to mix"):
        remixed(pool, "office-v1", remove=[first])


def test_the_command(pool, tmp_path):
    (first,) = (source["prompt"] for source in pool.record("office-v1").provenance["sources"])
    other = ({"kitchen-v1", "harbour-v1"} - {first}).pop()
    code, out, err = call("pool", "mix", str(tmp_path / "pool"), "office-v1", "--add", other)
    assert (code, out) == (0, f"office-v2 stored, mixed from {first}, {other}\n"), err
    code, _, err = call("pool", "mix", str(tmp_path / "pool"), "office-v1")
    assert code == 2
    assert "Nothing is to be added" in err
