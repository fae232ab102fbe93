"""A plugin as a user writes one, in a file: a method, a tuning, a backbone, a kind of stream and a metric."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from registries import restored

MINE = """
from __future__ import annotations

import dataclasses

from continual.backbone import BACKBONES
from continual.evaluation.matrix import ScoreMatrix
from continual.evaluation.stream_metrics import STREAM_METRICS
from continual.making.recipe import Made
from continual.methods import METHODS
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.students import STUDENTS
from continual.tuning import TUNINGS
from continual.tuning.soft_prompt import LatePrompt
from streams.catalog import KINDS
from streams.options import option
from streams.simulated import SimulatedSource


@METHODS.register("mine", help="a fresh prompt, as it is and as often as asked for")
class Mine(Method):
    name = "mine"
    reads = UNRANKED

    def __init__(self, rate: float = 1, times: int = 1, *, names: tuple[str, ...] = ("a",)) -> None:
        self.rate, self.times, self.names = rate, times, names

    def learn(self, lesson: Lesson) -> Learned:
        tensors = lesson.fresh()
        for number in range(self.times):
            model = lesson.fit(f"fit {number}", tensors)
            tensors = {name: value.detach() for name, value in model.tensors.items()}
        return Learned(model, f"fit {self.times - 1}")


@METHODS.register("needy", help="a method with an option that has no default")
class Needy(Mine):
    name = "needy"

    def __init__(self, depth: int, rate: float = 0.5) -> None:
        super().__init__(rate)
        self.depth = depth


@TUNINGS.register("later", help="soft tokens under another name")
class Later(LatePrompt):
    name = "later"

    def spec(self):
        return super().spec() | {"name": self.name}


@BACKBONES.register("small", help="a model under another name")
def small(path: str, max_length: int = 48):
    from continual.backbone.catalog import hub

    return hub(path=path, max_length=max_length)


@KINDS.register("few", help="simulated texts, but few of them")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Few(SimulatedSource):
    name: str = option("few", "name of the stream")
    train: int = option(24, "number of training texts of a task")
    dev: int = option(12, "number of development texts of a task")
    test: int = option(12, "number of test texts of a task")


@STUDENTS.register("copy", help="a text in a folder")
@dataclasses.dataclass(frozen=True)
class Copy:
    text: str
    sections = ("text",)
    parts = ()
    columns = ("length",)

    @classmethod
    def parse(cls, settings):
        return cls(settings["text"])

    def identity(self):
        return {"text": self.text}

    def make(self, place) -> Made:
        save = lambda folder: (folder / "text.txt").write_text(self.text)
        about = {"student": "copy", "task": "none", "stages": [], "seconds": {"total": 0.0}}
        return Made(save, about | {"scores": [{"length": len(self.text)}]})


@STREAM_METRICS.register("worst_of_mine", help="the last score of the worst", formula="min_j R[T][j]", better="higher")
def worst_of_mine(matrix: ScoreMatrix) -> float | None:
    return float(matrix.block[-1].min()) if matrix.learned else None
"""
SMALL = ["training.epochs=1", "training.min_steps=0", "routing.keys=4", "tracking.enabled=false", "threads=1"]
"""Settings with which a run takes a second."""


def write_plugin(folder: Path, name: str = "mine_for_tests.py") -> Path:
    """The plugin in a file."""
    (folder / name).write_text(MINE, encoding="utf-8")
    return folder / name


@contextlib.contextmanager
def forgotten(folder: Path) -> Iterator[None]:
    """What plugins in a folder register, import and add to the places of modules inside is forgotten at the end."""
    from continual.backbone import BACKBONES
    from continual.baselines import BASELINES
    from continual.evaluation.stream_metrics import STREAM_METRICS
    from continual.growth import EXPANSIONS
    from continual.growth.carrying import CARRIERS
    from continual.methods import METHODS
    from continual.students import STUDENTS
    from continual.transfer import TRANSFERABILITY
    from continual.tuning import TUNINGS
    from streams.catalog import KINDS

    registries = [METHODS, BASELINES, TUNINGS, BACKBONES, KINDS, STREAM_METRICS, TRANSFERABILITY, EXPANSIONS, STUDENTS]
    places = list(sys.path)
    with restored(*registries, CARRIERS):
        try:
            yield
        finally:
            sys.path[:] = places
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(str(folder)):
                    del sys.modules[name]
