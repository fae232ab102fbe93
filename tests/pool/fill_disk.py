"""Fills a real file system of one megabyte, mounted where no other process sees it.

Usage: unshare --mount python fill_disk.py FOLDER
"""

import subprocess
import sys
from pathlib import Path

import torch
from pool_samples import BACKBONE, make_prompt

from continual.errors import StorageError
from continual.pool import PromptPool


def main(folder: Path) -> None:
    """Adds prompts until the disk is full, looks at what is left, and goes on when there is space again."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    pool = PromptPool(folder / "pool", BACKBONE)
    refusals = []
    # Prompts of falling size, so that the space ends in every file that is written.
    for size in (20_000, 2_000, 200, 20, 1, 1, 1, 1):
        try:
            while True:
                tensors = make_prompt().tensors | {"more": torch.ones(size)}
                pool.add(make_prompt("big", pool.next_version("big"), tensors=tensors))
        except StorageError as error:
            refusals.append(str(error))
    ids = pool.ids()
    assert len(refusals) == 8
    assert all("disk is full" in sentence for sentence in refusals), refusals
    assert len(ids) > 10
    for again in (pool, PromptPool(folder / "pool", BACKBONE), PromptPool(folder / "pool", read_only=True)):
        assert again.ids() == ids
        assert again.verify() == []
        assert len(again.search(make_prompt().tensors["keys"], 1000)[0]) == len(ids)
    subprocess.run(["mount", "-o", "remount,size=2m", str(folder)], check=True)
    assert pool.add(make_prompt("small")).id in PromptPool(folder / "pool").ids()
    assert pool.verify() == []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
