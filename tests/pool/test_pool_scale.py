"""Thousands of prompts: opening and listing never touch the tensors."""

import dataclasses
from pathlib import Path

import numpy as np
import pool_workers
import pytest
import torch
from pool_samples import make_prompt

from continual.pool import PromptPool
from continual.pool import format as prompt_format


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 prompts with 20 kB of tensors each, written as a copying program would write them."""
    path = tmp_path_factory.mktemp("large") / "pool"
    PromptPool(path, make_prompt().backbone)
    more = torch.ones(5_000)
    for number in range(2_000):
        prompt = make_prompt(f"task {number}", created=f"2025-01-01T00:00:00.{number:06d}+00:00")
        folder = path / "prompts" / prompt.id
        folder.mkdir(parents=True)
        prompt_format.encode(dataclasses.replace(prompt, tensors=prompt.tensors | {"more": more})).write(folder)
    assert len(PromptPool(path)) == 2_000
    return path


def test_opening_reads_no_tensors(path: Path) -> None:
    process, connection = pool_workers.start(pool_workers.open_and_list, path)
    seconds, opened, listed, memory = connection.recv()
    process.join(60)
    assert seconds < 1
    # All system calls that read are counted; the tensors alone are 40 million bytes.
    assert opened < 500_000
    assert listed < 8_000_000
    assert memory < 30_000_000


def test_finding_reads_no_tensors(path: Path) -> None:
    """The key file is enough: without a single tensors file, the search still gives the right answer."""
    pool = PromptPool(path)
    hidden = [(folder / "tensors.safetensors") for folder in (path / "prompts").iterdir()]
    for file in hidden:
        file.rename(file.with_suffix(".hidden"))
    try:
        queries = np.concatenate([make_prompt(f"task {number}").tensors["keys"] for number in (0, 999, 1999)])
        found = [hits[0].prompt_id for hits in pool.search(queries, 1)]
    finally:
        for file in hidden:
            file.with_suffix(".hidden").rename(file)
    assert found == ["task-0-v1"] * 3 + ["task-999-v1"] * 3 + ["task-1999-v1"] * 3
