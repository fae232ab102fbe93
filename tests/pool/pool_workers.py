"""What the other processes do in the tests of the pool. A fork server makes each start quick."""

import importlib
import multiprocessing
import os
import pkgutil
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import torch
from pool_samples import BACKBONE, make_prompt

import continual.pool
from continual.errors import StorageError
from continual.pool import Prompt, PromptPool

CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pool_workers", "safetensors.torch", "faiss"])


def start(target: Callable[..., None], *arguments: Any) -> tuple[ForkServerProcess, Connection]:
    """Runs `target(connection, *arguments)` in another process; gives that and our end of the connection."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    there.close()
    return process, here


def add_forever(connection: Connection, path: Path, name: str) -> None:
    """Adds versions of one task, and tells each id only after `add` has returned."""
    pool = PromptPool(path, BACKBONE)
    while True:
        task = f"{name} task"
        connection.send(pool.add(make_prompt(task, pool.next_version(task))).id)


def add_some(connection: Connection, path: Path, seed: int, count: int) -> None:
    """Adds prompts of one task whose versions other processes want too, after a word to begin."""
    connection.recv()
    pool = PromptPool(path, BACKBONE)
    connection.send([pool.add(make_prompt("same", seed=seed * 100 + n), renumber=True).id for n in range(count)])


def read_while_others_write(connection: Connection, path: Path) -> None:
    """Checks, until told to stop, that everything that is listed can be read and found."""
    pool, rounds = PromptPool(path, BACKBONE), 0
    while rounds == 0 or not connection.poll():
        ids = pool.ids()
        assert len(pool.records()) >= len(ids)
        if ids:
            hits = pool.search(pool.get(ids[-1]).tensors["keys"][:1], len(ids))[0]
            assert {hit.prompt_id for hit in hits} <= set(pool.ids())
            assert len(hits) == len(ids)
        rounds += 1
    assert pool.notes == []
    connection.send(rounds)


def large_tensors(task: str, version: int) -> Prompt:
    """A prompt with 100 kB of keys, so that the fourth makes 400 kB of them, and 600 kB of tensors in all."""
    keys = torch.nn.functional.normalize(torch.ones(100, 256), dim=1)
    return make_prompt(task, version, tensors={"keys": keys, "more": torch.ones(125_000)})


def large_record(task: str, version: int) -> Prompt:
    """A prompt whose record is larger than its tensors: only the catalogue grows beyond 40 kB, when it commits."""
    return make_prompt(task, version, provenance={"curve": list(range(1_500))})


def add_under_file_limits(connection: Connection, path: Path, make: Callable[[str, int], Prompt]) -> None:
    """Lets every size of file be the largest that the system allows, so that each write fails once."""
    pool = PromptPool(path, BACKBONE)
    for version in range(1, 4):
        pool.add(make("full", version))
    refusals = set()
    for limit in (0, 1, 500, 1_000, 5_000, 10_000, 20_000, 30_000, 40_000, 100_000, 350_000, 450_000, 1_000_000):
        before = pool.ids()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            pool.add(make("refused", pool.next_version("refused")))
        except StorageError as error:
            refusals.add(str(error).replace(str(path), "POOL"))
            expected = before
        else:
            expected = [*before, pool.ids()[-1]]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for again in (pool, PromptPool(path, BACKBONE)):
            assert again.ids() == expected
            assert again.verify() == []
            assert again.notes == []
            assert set(os.listdir(path / "prompts")) == set(expected)
    connection.send(sorted(refusals))


def die_in_a_transaction(connection: Connection, path: Path) -> None:
    """Leaves the catalogue half-changed, with the journal that SQLite needs to take the change back."""
    catalogue = sqlite3.connect(path / "index" / "catalogue.sqlite", isolation_level=None)
    catalogue.execute("PRAGMA cache_size = 1")
    catalogue.execute("BEGIN")
    catalogue.execute("UPDATE prompts SET task = 'half' || task")
    catalogue.execute(
        "CREATE TABLE half AS WITH RECURSIVE n(i) AS (VALUES(1) UNION SELECT i+1 FROM n LIMIT 9999) SELECT * FROM n"
    )
    connection.send("dying")
    os.kill(os.getpid(), signal.SIGKILL)


def open_and_list(connection: Connection, path: Path) -> None:
    """Opens a pool and lists it; tells the seconds of opening, and by how much the process grew and read."""
    this = psutil.Process()
    memory, read, began = this.memory_info().rss, this.io_counters().read_chars, time.perf_counter()
    pool = PromptPool(path, BACKBONE)
    seconds = time.perf_counter() - began
    assert (len(pool), pool.notes) == (2_000, [])
    assert "task-7-v1" in pool
    opened = this.io_counters().read_chars - read
    records = pool.records()
    assert [record.id for record in records] == pool.ids()
    listed = this.io_counters().read_chars - read
    assert sum(record.tensors_bytes for record in records) > 40_000_000
    connection.send((seconds, opened, listed, this.memory_info().rss - memory))


def use_a_folder_of_someone_else(connection: Connection, path: Path) -> None:
    """Uses a pool that this process may read but not write."""
    # What loads late may lie in a virtual environment that only its owner can read.
    own = [f"continual.pool.{module.name}" for module in pkgutil.iter_modules(continual.pool.__path__)]
    for name in (*own, "faiss", "numpy.ctypeslib", "safetensors.torch"):
        importlib.import_module(name)
    if os.getuid() == 0:
        os.setuid(65_534)
    pool = PromptPool(path, BACKBONE)
    assert pool.search(pool.get("sydney-siege-v1").tensors["keys"], 1)[0][0].prompt_id == "sydney-siege-v1"
    assert pool.verify() == []
    refusals = []
    for change in (
        lambda: pool.add(make_prompt("new")),
        pool.rebuild,
        lambda: pool.export(path / "x.zip"),
        lambda: pool.export(path / "x"),
        lambda: PromptPool(path / "new", BACKBONE),
    ):
        try:
            change()
        except StorageError as error:
            refusals.append(str(error).replace(str(path), "POOL"))
    assert pool.ids() == ["sydney-siege-v1"]
    connection.send(refusals)


def use_a_damaged_index_of_someone_else(connection: Connection, path: Path) -> None:
    """A reader makes an index for itself where a writer, who may not write, cannot repair it."""
    if os.getuid() == 0:
        os.setuid(65_534)
    assert PromptPool(path, read_only=True).ids() == ["sydney-siege-v1"]
    try:
        PromptPool(path)
    except StorageError as error:
        connection.send([str(error).replace(str(path), "POOL")])
