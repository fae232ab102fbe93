"""A full check of a pool: every byte of every prompt, and the index against the prompts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from continual.errors import PoolError
from continual.pool import keyfile
from continual.pool.catalogue import IndexDamagedError, KeyRows
from continual.pool.derived import DerivedData
from continual.pool.format import PROMPT_FILE, TENSORS_FILE, read_record
from continual.pool.prompt import is_prompt_id
from continual.pool.shelf import Shelf


@dataclass(frozen=True)
class Problem:
    """Something that is wrong in a pool.

    Attributes:
        prompt: Id of the prompt, or the name of a folder that is none.
        file: The file or folder.
        sentence: What is wrong and what to do.
    """

    prompt: str
    file: str
    sentence: str


def verify(shelf: Shelf, index: DerivedData) -> list[Problem]:
    """Everything that is wrong, ordered by prompt.

    Raises:
        IndexDamagedError: The catalogue cannot be read.
    """
    # The index first: a prompt that another process adds meanwhile is looked up again below.
    generation = index.catalogue.state().generation
    rows = {owner.id: owner for owner in index.catalogue.key_rows()}
    names, _ = shelf.names()
    problems: list[Problem] = []
    for name in sorted(names.union(rows)):
        folder = shelf.folder(name)
        if not is_prompt_id(name):
            sentence = f"{folder} is not a prompt; move it out of the pool."
        elif not folder.is_dir():
            sentence = f"{folder} is missing; restore it, or delete {index.folder} to forget the prompt."
        else:
            problems.extend(_check_prompt(shelf, index, name, rows.get(name), generation))
            continue
        problems.append(Problem(name, str(folder), sentence))
    return problems


def _check_prompt(
    shelf: Shelf, index: DerivedData, name: str, owner: KeyRows | None, generation: str
) -> Iterator[Problem]:
    folder = shelf.folder(name)
    file = folder / PROMPT_FILE
    try:
        record = read_record(folder, shelf.backbone)
        file = folder / TENSORS_FILE
        keys = shelf.read_encoded(name).keys
    except PoolError as error:
        yield Problem(name, str(file), str(error))
        return
    remedy = f"delete {index.folder}, and it is made anew when the pool is opened."
    indexed = index.catalogue.record(name)
    if indexed is None:
        yield Problem(name, str(index.folder), f"Prompt '{name}' is not in the index; {remedy}")
    elif indexed != record:
        yield Problem(name, str(index.folder), f"The index says something else than {folder / PROMPT_FILE}; {remedy}")
    elif owner is not None and not _has_keys(index, owner, generation, keys):
        yield Problem(name, str(index.folder), f"The keys of '{name}' in the index are damaged; {remedy}")


def _has_keys(index: DerivedData, owner: KeyRows, generation: str, keys: np.ndarray) -> bool:
    try:
        file = keyfile.path(index.folder, generation)
        indexed = keyfile.read(file, owner.first_row, owner.first_row + owner.rows, keys.shape[1])
    except IndexDamagedError:
        return False
    return owner.crc == keyfile.checksum(keys) and np.array_equal(indexed, keys)
