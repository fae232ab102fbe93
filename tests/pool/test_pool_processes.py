"""Several real processes on one pool: together, killed, and out of space."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pool_workers
import pytest
from pool_samples import BACKBONE, assert_same, make_prompt

from continual.pool import PromptPool

SECONDS = 120


def test_two_processes_that_want_the_same_versions(tmp_path: Path) -> None:
    PromptPool(tmp_path / "pool", BACKBONE)
    workers = [pool_workers.start(pool_workers.add_some, tmp_path / "pool", seed, 12) for seed in (1, 2)]
    reader, watching = pool_workers.start(pool_workers.read_while_others_write, tmp_path / "pool")
    for _, connection in workers:
        connection.send("go")
    added = [connection.recv() for _, connection in workers]
    watching.send("stop")
    assert watching.recv() > 0
    for process in (*(worker for worker, _ in workers), reader):
        process.join(SECONDS)
        assert process.exitcode == 0
    pool = PromptPool(tmp_path / "pool", BACKBONE)
    assert sorted(added[0] + added[1]) == sorted(pool.ids())
    assert {record.version for record in pool.records()} == set(range(1, 25))
    assert pool.verify() == []
    assert pool.notes == []


def test_two_processes_that_make_the_pool(tmp_path: Path) -> None:
    workers = [pool_workers.start(pool_workers.add_some, tmp_path / "pool", seed, 2) for seed in (1, 2, 3)]
    for _, connection in workers:
        connection.send("go")
    added = [prompt_id for _, connection in workers for prompt_id in connection.recv()]
    pool = PromptPool(tmp_path / "pool", BACKBONE)
    assert sorted(added) == sorted(pool.ids())
    assert pool.verify() == []


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What `add` has acknowledged is there, whatever the process was doing when it died."""
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for attempt in range(10):
        process, connection = pool_workers.start(
            pool_workers.add_forever, tmp_path / "pool", f"t{attempt % 2}"
        )
        assert connection.poll(SECONDS)
        time.sleep(chance.uniform(0, 0.12))
        os.kill(process.pid, signal.SIGKILL)
        process.join(SECONDS)
        while connection.poll():
            try:
                acknowledged.add(connection.recv())
            except EOFError:
                break
        # A reader first: it must not depend on what a writer repairs.
        assert acknowledged <= set(PromptPool(tmp_path / "pool", read_only=True).ids())
        pool = PromptPool(tmp_path / "pool", BACKBONE)
        assert acknowledged <= set(pool.ids())
        assert len(pool) <= len(acknowledged) + attempt + 1
        assert pool.verify() == []
        assert not list((tmp_path / "pool" / "prompts").glob(".*"))
    for record in pool.records():
        assert_same(pool.get(record.id), make_prompt(record.task, record.version))
    assert len(acknowledged) >= 10


def test_every_size_of_file_may_be_the_largest(tmp_path: Path) -> None:
    process, connection = pool_workers.start(pool_workers.add_under_file_limits, tmp_path / "pool")
    refusals = connection.recv()
    process.join(SECONDS)
    assert process.exitcode == 0
    assert all(
        sentence.startswith("Could not write POOL/") and sentence.endswith(".") for sentence in refusals
    )
    # Prompt folder, key file and catalogue have each refused.
    for part in ("prompts/refused", "index/keys-", "index/catalogue.sqlite"):
        assert any(part in sentence for sentence in refusals), (part, refusals)


def _private_mounts() -> list[str] | None:
    """A command that makes mounts possible and private; None where that is not allowed."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try_it = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if (
            shutil.which("unshare")
            and not subprocess.run(try_it, capture_output=True, check=False).returncode
        ):
            return command
    return None


def test_a_full_disk(tmp_path: Path) -> None:
    command = _private_mounts()
    if command is None:
        pytest.skip("this system does not allow private mounts (unshare --mount)")
    script = Path(__file__).with_name("fill_disk.py")
    result = subprocess.run(
        [*command, sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
