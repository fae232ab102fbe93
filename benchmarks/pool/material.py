"""A large pool with keys of the shape of real ones.

Each task has a centre, a sum of a few directions of the kind that MiniLM's text vectors have, and its keys lie around
it. Some keys are drawn as the others and not stored: what a new text of the task asks with. The prompts' files are
written as `PromptPool.add` writes them, but without waiting for the disk after each, and indexed by
`PromptPool.rebuild`, as after a loss of the index.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import seconds_of
from benchmarks.speed import material
from continual.pool import PromptPool
from continual.pool import format as prompt_format
from continual.pool.derived import DerivedData
from continual.pool.graphfile import GraphFolder
from continual.pool.index import EXACT_LIMIT
from continual.pool.prompt import Prompt

TUNING = {"name": "deep", "length": 2, "layer": 5}
"""Small prompts, so that a hundred thousand of them fit on a disk."""

KEYS = 16
KNOWN = 500
"""Prompts of which a key is kept apart."""
_BLOCK = 1000


@dataclass(frozen=True)
class Made:
    """A pool that was filled.

    Attributes:
        folder: Its folder.
        counts: Number of keys of each prompt that was there first.
        unseen: Keys of some of those prompts that are not in the pool, [at most KNOWN, width].
        exact_limit: Number of keys that it searches exactly.
        seconds: Of writing the prompts, and of making index and graph.
        example: A prompt like all others.
    """

    folder: Path
    counts: np.ndarray
    unseen: np.ndarray
    exact_limit: int
    seconds: dict[str, float]
    example: Prompt

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def keys(self) -> int:
        """Number of keys that were there first."""
        return int(self.counts.sum())

    def open(self, read_only: bool = False) -> PromptPool:
        """The pool."""
        return PromptPool(self.folder, read_only=read_only, exact_limit=self.exact_limit)

    def index(self) -> DerivedData:
        """Its index as it is on disk."""
        return DerivedData(self.folder / "index", read_only=True, exact_limit=self.exact_limit)

    def graphs(self) -> list[int]:
        """Number of keys in each graph on disk."""
        state = self.index().catalogue.state()
        return [
            file.stop - file.start for file in GraphFolder(self.folder / "index").chain(state.generation, state.rows)
        ]

    def prompt(self, task: str, keys: np.ndarray) -> Prompt:
        """A prompt for `task` with `keys` [K, width]."""
        tensors = self.example.tensors | {"keys": torch.from_numpy(keys)}
        return dataclasses.replace(self.example, id=f"{task}-v1", task=task, tensors=tensors)


def keys_of(prompts: int, keys: int, width: int, seed: int) -> np.ndarray:
    """Unit vectors [prompts, keys, width], near to each other within a prompt."""
    generator = np.random.default_rng(seed)
    spectrum = np.arange(1, width + 1, dtype=np.float32) ** -0.5  # as the principal components of text vectors fall off
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0].astype(np.float32)
    centres = generator.standard_normal((prompts, 1, width), dtype=np.float32) * spectrum
    around = 0.7 * generator.standard_normal((prompts, keys, width), dtype=np.float32) * spectrum
    found = (centres + around) @ basis
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def fill(folder: Path, prompts: int, exact_limit: int = EXACT_LIMIT) -> Made:
    """Writes a pool of `prompts` prompts, indexes it and makes the search graph."""
    encoder = material.encoder()
    pool = PromptPool(folder, encoder.fingerprint, backbone_name=encoder.name, exact_limit=exact_limit)
    counts = np.where(np.arange(prompts) % 5 < 3, KEYS, 1)
    known = np.sort(np.random.default_rng(3).choice(prompts, size=min(KNOWN, prompts), replace=False))
    made = Made(folder, counts, np.empty((len(known), encoder.width), np.float32), exact_limit, {}, _example())

    def write() -> None:
        for start in range(0, prompts, _BLOCK):
            block = keys_of(min(_BLOCK, prompts - start), KEYS + 1, encoder.width, seed=start + 1)
            here = (known >= start) & (known < start + len(block))
            made.unseen[here] = block[known[here] - start, KEYS]
            for number, own in enumerate(block, start=start):
                prompt = made.prompt(f"task-{number:06d}", own[: counts[number]].copy())
                place = pool.folder(prompt.id)
                place.mkdir(parents=True)
                prompt_format.encode(prompt).write(place)

    made.seconds["write"] = seconds_of(write)
    made.seconds["index and search graph"] = seconds_of(pool.rebuild)
    print({name: round(value, 1) for name, value in made.seconds.items()}, flush=True)
    return made


def sizes(made: Made) -> dict[str, float]:
    """Bytes of the derived data, on average: of the catalogue for each prompt, of keys and graphs for each key."""

    def together(pattern: str) -> int:
        return sum(file.stat().st_size for file in made.index().folder.glob(pattern))

    return {
        "catalogue": together("catalogue.sqlite") / len(made),
        "keys": together("keys-*") / made.keys,
        "graphs": together("graph-*") / sum(made.graphs()),
    }


def _example() -> Prompt:
    from continual.transfer.probe import probe_version
    from continual.transfer.signature import Prober, signature_tensors
    from continual.tuning import build_tuning
    from continual.tuning.base import TRAINED

    encoder, tuning = material.encoder(), build_tuning(TUNING)
    initial = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
    signature = Prober(encoder).signature(tuning, initial, initial, torch.zeros(1, encoder.width))
    return Prompt(
        id="task-v1",
        task="task",
        version=1,
        labels=("no", "yes"),
        backbone=encoder.fingerprint,
        tuning=tuning.spec(),
        method="scratch",
        tensors={f"{TRAINED}{name}": value for name, value in initial.items()} | signature_tensors(signature),
        provenance={"unknown_below": 0.2, "probe": probe_version()},
    )
