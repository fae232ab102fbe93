"""Which version of a task answers: the newest, and any other one that is chosen."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_line import call
from pool_samples import BACKBONE, make_prompt

from continual.choosing import CHOSEN, chosen
from continual.errors import PoolError
from continual.pool import PromptPool
from continual.storing import REVISES, REVISION


@pytest.fixture
def pool(tmp_path: Path) -> PromptPool:
    """Two versions of one task, of which the first has improved other prompts when it was learned."""
    pool = PromptPool(tmp_path / "pool", BACKBONE, backbone_name="minilm")
    first = make_prompt("one")
    revision = {f"{REVISION}0.tuning.prompt": torch.ones(2)}
    facts = {REVISES: [{"prompt": "other-v1"}], "position": 3}
    pool.add(make_prompt("one", tensors=first.tensors | revision, provenance=facts))
    pool.add(make_prompt("one", 2))
    pool.add(make_prompt("two"))
    return pool


def test_the_chosen_version_is_stored_again_and_answers(pool: PromptPool) -> None:
    before = pool.get("one-v1")
    record = chosen(pool, "one-v1")
    assert (record.id, record.provenance) == ("one-v3", {"position": 3, CHOSEN: "one-v1"})
    assert pool.answering() == {"one": "one-v3", "two": "two-v1"}
    assert pool.superseded() == {"one-v1", "one-v2"}
    again = pool.get("one-v3")
    assert set(again.tensors) == set(make_prompt("one").tensors)
    assert all(torch.equal(value, before.tensors[name]) for name, value in again.tensors.items())
    assert chosen(pool, "one-v1").id == "one-v3"  # answers already
    assert chosen(pool, "two-v1").id == "two-v1"
    assert chosen(pool, "one-v2").id == "one-v4"
    assert pool.verify() == []


def test_a_rebuilt_catalogue_knows_the_choice(pool: PromptPool) -> None:
    chosen(pool, "one-v1")
    shutil.rmtree(pool.path / "index")
    assert PromptPool(pool.path).answering() == {"one": "one-v3", "two": "two-v1"}
    assert PromptPool(pool.path).superseded() == {"one-v1", "one-v2"}


def test_what_cannot_be_chosen_is_refused(pool: PromptPool) -> None:
    with pytest.raises(PoolError, match="There is no prompt 'one-v9'"):
        chosen(pool, "one-v9")
    with pytest.raises(PoolError, match="opened for reading only"):
        chosen(PromptPool(pool.path, read_only=True), "one-v1")


def test_an_import_says_what_it_has_taken_over_and_that_can_be_taken_back(pool: PromptPool, tmp_path: Path) -> None:
    source = PromptPool(tmp_path / "source", BACKBONE)
    source.add(make_prompt("one", seed=7))
    source.add(make_prompt("three"))
    archive, path = str(source.export(tmp_path / "source.zip")), str(pool.path)
    shutil.copytree(pool.path, tmp_path / "copy")
    code, out, err = call("pool", "import", path, archive, "--format", "json")
    assert code == 0, err
    assert json.loads(out) == {
        "added": ["one-v3", "three-v1"],
        "answers": [{"task": "one", "prompt": "one-v3", "instead_of": "one-v2"}],
    }
    assert json.loads(call("pool", "import", path, archive, "--format", "json")[1]) == {"added": [], "answers": []}
    told = call("pool", "import", str(tmp_path / "copy"), archive)[1]
    assert "one-v3 now answers for 'one' in place of one-v2; to take that back: continual pool use" in told
    assert call("pool", "use", path, "one-v2")[:2] == (0, "one-v4, which is one-v2, answers for 'one'\n")
    rows = json.loads(call("pool", "ls", path, "--format", "json")[1])
    assert [row["prompt"] for row in rows if row["answers"] == "yes"] == ["two-v1", "three-v1", "one-v4"]
