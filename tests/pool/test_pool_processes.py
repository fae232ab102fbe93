"""Several real processes on one pool: together, killed, and out of space."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pool_workers
import pytest
from pool_samples import BACKBONE, assert_same, make_prompt

from continual.pool import Prompt, PromptPool

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


def test_threads_share_a_pool(tmp_path: Path) -> None:
    pool = PromptPool(tmp_path / "pool", BACKBONE)

    def work(seed: int) -> list[str]:
        added = [pool.add(make_prompt("same", seed=seed * 10 + n), renumber=True) for n in range(4)]
        for record in added:
            keys = pool.get(record.id).tensors["keys"]
            assert record.id in {hit.prompt_id for hit in pool.search(keys[:1], 1)[0]}
        return [record.id for record in added]

    with ThreadPoolExecutor(4) as executor:
        added = [prompt_id for ids in executor.map(work, range(4)) for prompt_id in ids]
    assert sorted(added) == sorted(pool.ids())
    assert len(added) == 16
    assert pool.verify() == []


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What `add` has acknowledged is there, whatever the process was doing when it died."""
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for attempt in range(10):
        process, connection = pool_workers.start(pool_workers.add_forever, tmp_path / "pool", f"t{attempt % 2}")
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


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        # Prompt folder, key file and catalogue each refuse.
        (pool_workers.large_tensors, ["prompts/refused", "index/keys-", "index/catalogue.sqlite"]),
        # The catalogue refuses at the very end, when the prompt folder is there.
        (pool_workers.large_record, ["index/catalogue.sqlite"]),
    ],
)
def test_every_size_of_file_may_be_the_largest(
    tmp_path: Path, make: Callable[[str, int], Prompt], parts: list[str]
) -> None:
    process, connection = pool_workers.start(pool_workers.add_under_file_limits, tmp_path / "pool", make)
    refusals = connection.recv()
    process.join(SECONDS)
    assert process.exitcode == 0
    assert all(sentence.startswith("Could not write POOL/") and sentence.endswith(".") for sentence in refusals)
    for part in parts:
        assert any(part in sentence for sentence in refusals), (part, refusals)


@pytest.mark.parametrize("then", ["nothing", "damaged", "deleted"])
def test_killed_within_a_transaction(tmp_path: Path, then: str) -> None:
    """SQLite's journal repairs the catalogue to which it belongs, and must not touch one that was made anew."""
    pool = PromptPool(tmp_path / "pool", BACKBONE)
    for version in range(1, 21):
        pool.add(make_prompt(version=version))
    process, connection = pool_workers.start(pool_workers.die_in_a_transaction, pool.path)
    connection.recv()
    process.join(SECONDS)
    catalogue = pool.path / "index" / "catalogue.sqlite"
    assert catalogue.with_name("catalogue.sqlite-journal").stat().st_size > 0
    if then == "damaged":
        catalogue.write_bytes(b"garbage" * 100)
    elif then == "deleted":
        catalogue.unlink()
        # So that the old pages in the journal are wrong in the new catalogue.
        for version in range(1, 16):
            shutil.rmtree(pool.folder(f"sydney-siege-v{version}"))
    reader = PromptPool(pool.path, read_only=True)
    again = PromptPool(pool.path, BACKBONE)
    for each in (reader, again, PromptPool(pool.path, BACKBONE)):
        assert each.tasks() == ["sydney siege"]
        assert len(each) == (5 if then == "deleted" else 20)
        assert each.verify() == []
    assert bool(again.notes) == (then != "nothing")


@pytest.fixture
def foreign_pool() -> Iterator[Path]:
    """A pool that others may read but not write; not below `tmp_path`, which only its owner may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pool"
        PromptPool(path, BACKBONE).add(make_prompt())
        folders = [Path(name), path, *(entry for entry in path.rglob("*") if entry.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        yield path
        for folder in folders:
            folder.chmod(0o755)


def test_a_folder_that_may_only_be_read(foreign_pool: Path) -> None:
    process, connection = pool_workers.start(pool_workers.use_a_folder_of_someone_else, foreign_pool)
    refusals = connection.recv()
    process.join(SECONDS)
    assert process.exitcode == 0
    assert len(refusals) == 5
    for sentence in refusals:
        assert sentence.startswith("Could not write POOL")
        assert "permission was denied; choose a folder that you may write to" in sentence


def test_a_damaged_index_that_may_only_be_read(foreign_pool: Path) -> None:
    (foreign_pool / "index" / "catalogue.sqlite").write_bytes(b"garbage" * 100)
    process, connection = pool_workers.start(pool_workers.use_a_damaged_index_of_someone_else, foreign_pool)
    (sentence,) = connection.recv()
    process.join(SECONDS)
    assert process.exitcode == 0
    assert sentence.startswith("Could not write POOL")


def _private_mounts() -> list[str] | None:
    """A command that makes mounts possible and private; None where that is not allowed."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try_it = [*command, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and not subprocess.run(try_it, capture_output=True, check=False).returncode:
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
