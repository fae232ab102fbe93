"""Fixtures of the data side: small files on disk, and the real data where this machine has them."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset, Features, Value

from streams.task import Task


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets; the test is skipped where CONTINUAL_DATA does not name one."""
    folder = os.environ.get("CONTINUAL_DATA")
    if not folder:
        pytest.skip("needs real data: set CONTINUAL_DATA to the folder that holds rumor/ and text/")
    return Path(folder)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file below the test's folder, gzipped if its name says so, and returns its path."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


@pytest.fixture
def write_jsonl(write: Callable[[str, str | bytes], Path]) -> Callable[[str, list[dict]], Path]:
    """Writes rows as JSON Lines."""
    return lambda name, rows: write(name, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def make_split() -> Callable[..., Dataset]:
    """A split from texts, label indices and, optionally, second texts."""

    def make(texts: list, labels: list, pairs: list | None = None) -> Dataset:
        columns = {"text": texts, "label": labels}
        features = {"text": Value("string"), "label": Value("int64")}
        if pairs is not None:
            columns["text_pair"], features["text_pair"] = pairs, Value("string")
        return Dataset.from_dict(columns, features=Features(features))

    return make


@pytest.fixture
def make_task(make_split: Callable[..., Dataset]) -> Callable[..., Task]:
    """A valid two-class task; keyword arguments replace any part."""

    def make(**parts: object) -> Task:
        split = make_split(["it is hot", "it is cold"], [0, 1])
        return Task(**{"name": "t", "labels": ("a", "b"), "train": split, "dev": split, "test": split, **parts})

    return make
