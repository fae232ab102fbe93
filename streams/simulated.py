"""Synthetic text streams whose similarity between tasks is known exactly.

A task asks which of two opposite meanings a text's *cue words* carry: cold or hot, small or big, a mixture.
Which concepts a task listens to, and which way round, is its weight vector; two tasks are alike as far as
these agree. Around the cues stand adjectives of concepts the task ignores (distractors) and nouns of the
task's own topic, so a text is a handful of English clauses such as "The kettle was icy. We waited beside the
stove."

A cue is drawn by first choosing a concept with probability proportional to its absolute weight, then, with
probability `1 - cue_noise`, a word of the pole that the label names (of the opposite pole if the weight is
negative), else a word of the other pole. Hence every task has a known vector over cue words,

    d[word] = P(cue = word | second label) - P(cue = word | first label),

and `SimulatedSource.similarity` is the cosine between these vectors: 1 for a recurring task, -1 for a
conflicting one (same cues, labels swapped), 0 where no cue word is shared, in between for mixtures. A word
that marks one label in one task and is a mere distractor in another counts as not shared.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from streams.errors import StreamError
from streams.options import from_mapping, option, require_choice, require_range
from streams.splits import text_key
from streams.task import SPLITS, Task
from streams.words import CONCEPTS, CUE_CLAUSES, FILLER_CLAUSES, TOPICS

if TYPE_CHECKING:
    import numpy as np

_ATTEMPTS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedTask:
    """True parameters of one simulated task; what is left out comes from `like`, then from the source."""

    name: str = option(help="name of the task")
    cues: Mapping[str, float] | None = option(None, "weight of each concept; a negative weight swaps the labels")
    topic: str | None = option(None, "topic whose nouns fill the sentences")
    like: str | None = option(None, "an earlier task whose parameters this one repeats (a recurring task)")
    swap_labels: bool = option(False, "turn all weights round: a task that conflicts with the one it is like")
    train: int | None = option(None, "number of training texts")
    dev: int | None = option(None, "number of development texts")
    test: int | None = option(None, "number of test texts")
    balance: float | None = option(None, "share of the second label")
    label_noise: float | None = option(None, "share of wrong labels in train and dev; test is never noisy")
    cue_noise: float | None = option(None, "probability that a cue word belongs to the other label")


DEFAULT_TASKS: tuple[Mapping[str, Any], ...] = (
    {"name": "kitchen", "topic": "kitchen", "cues": {"temperature": 1.0}},
    {"name": "harbour", "topic": "harbour", "cues": {"temperature": 0.8, "size": 0.6}},
    {"name": "office", "topic": "office", "cues": {"speed": 1.0}},
    {"name": "station", "topic": "station", "cues": {"speed": 0.5, "age": 0.866}},
    {"name": "kitchen-again", "like": "kitchen"},
    {"name": "greenhouse", "like": "kitchen", "topic": "garden", "swap_labels": True},
)
"""Six tasks: similarity 0.8 (kitchen, harbour), 0.5 (office, station), 1 (recurring), -1 (conflicting), 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedSource:
    """A source of simulated tasks; see the module's text for the model.

    Raises:
        StreamError: on construction, if a task repeats a name or refers to an unknown concept, topic or task,
            or a number is out of range.
    """

    name: str = option("simulated", "name of the stream")
    tasks: tuple[Mapping[str, Any], ...] = option(
        DEFAULT_TASKS,
        "one mapping for each task: name, cues, topic, like, swap_labels and any of the numbers below",
    )
    labels: tuple[str, ...] = option(("no", "yes"), "names of the two labels")
    train: int = option(200, "number of training texts of a task")
    dev: int = option(80, "number of development texts of a task")
    test: int = option(200, "number of test texts of a task")
    balance: float = option(0.5, "share of the second label, above 0 and below 1")
    label_noise: float = option(0.0, "share of wrong labels in train and dev, below 0.5; test is never noisy")
    cue_noise: float = option(0.1, "probability that a cue word belongs to the other label, below 0.5")
    cues_per_text: int = option(3, "number of cue words in a text")
    distractors: int = option(1, "number of adjectives of concepts that the task ignores in a text")
    fillers: int = option(1, "number of clauses without an adjective in a text")
    split_seed: int = option(0, "seed of the texts")

    def __post_init__(self) -> None:
        require_range(f"stream {self.name!r}", "cues_per_text", self.cues_per_text, 1, 100)
        require_range(f"stream {self.name!r}", "distractors", self.distractors, 0, 100)
        require_range(f"stream {self.name!r}", "fillers", self.fillers, 0, 100)
        if len(self.labels) != 2:
            raise StreamError(f"Stream {self.name!r} needs two label names, but found {list(self.labels)}; give two.")
        if not self.tasks:
            raise StreamError(f"Stream {self.name!r} has no tasks; list at least one.")
        self._specs  # noqa: B018 - resolves and checks every task

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks as listed."""
        return list(self._specs)

    @property
    def similarity(self) -> np.ndarray:
        """The truth: T x T cosines between the tasks' vectors over cue words, in [-1, 1], in listed order."""
        import numpy as np

        words = [word for poles in CONCEPTS.values() for pole in poles for word in pole]
        vectors = np.zeros((len(self._specs), len(words)))
        for row, spec in enumerate(self._specs.values()):
            contrast = _cue_contrast(spec)
            vectors[row] = [contrast.get(word, 0.0) for word in words]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.clip(vectors @ vectors.T, -1.0, 1.0)

    def load(self, task_name: str) -> Task:
        """Writes the texts of one task; the same seed and parameters always give the same texts."""
        from datasets import Dataset, Features, Value

        require_choice(f"stream {self.name!r}", "task", task_name, self.task_names)
        spec = self._specs[task_name]
        rng = random.Random(f"{self.split_seed}/{task_name}")
        seen: set[str] = set()
        features = Features({"text": Value("string"), "label": Value("int64")})
        splits = {}
        for split in SPLITS:
            labels = _draw_labels(getattr(spec, split), spec.balance, rng)
            texts = [self._draw_text(spec, label, rng, seen) for label in labels]
            if split != "test":
                labels = _add_noise(labels, spec.label_noise, rng)
            splits[split] = Dataset.from_dict({"text": texts, "label": labels}, features=features)
        info = {"source": "simulated", "seed": self.split_seed, "truth": dataclasses.asdict(spec)}
        return Task(name=task_name, labels=tuple(self.labels), info=info, **splits)

    @cached_property
    def _specs(self) -> dict[str, SimulatedTask]:
        specs: dict[str, SimulatedTask] = {}
        for number, entry in enumerate(self.tasks, 1):
            where = f"task {number} of stream {self.name!r}"
            spec = entry if isinstance(entry, SimulatedTask) else from_mapping(SimulatedTask, entry, where)
            if spec.name in specs:
                raise StreamError(f"Stream {self.name!r} lists the task {spec.name!r} twice; rename one.")
            specs[spec.name] = _checked(_completed(spec, specs, self), f"task {spec.name!r} of stream {self.name!r}")
        return specs

    def _draw_text(self, spec: SimulatedTask, label: int, rng: random.Random, seen: set[str]) -> str:
        """A text that is in no split of the task yet."""
        for _ in range(_ATTEMPTS):
            adjectives = [_draw_cue(spec, label, rng) for _ in range(self.cues_per_text)]
            adjectives += [_draw_distractor(spec, rng) for _ in range(self.distractors)]
            text = _write(adjectives, self.fillers, TOPICS[spec.topic], rng)
            key = text_key(text)
            if key not in seen:
                seen.add(key)
                return text
        raise StreamError(
            f"Task {spec.name!r} of stream {self.name!r} asks for more texts than its words can form; "
            "lower train, dev and test or raise cues_per_text."
        )


def _completed(spec: SimulatedTask, earlier: Mapping[str, SimulatedTask], source: SimulatedSource) -> SimulatedTask:
    """`spec` with what it leaves out filled from the task it is like, then from the source's defaults."""
    model: Any = source
    if spec.like is not None:
        require_choice(
            f"task {spec.name!r} of stream {source.name!r}",
            "earlier task in 'like'",
            spec.like,
            list(earlier),
        )
        model = earlier[spec.like]
    values = {
        field.name: getattr(model, field.name, None) if getattr(spec, field.name) is None else getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if field.name not in ("name", "like", "swap_labels")
    }
    if values["cues"] and spec.swap_labels:
        values["cues"] = {concept: -weight for concept, weight in values["cues"].items()}
    return dataclasses.replace(spec, **values)


def _checked(spec: SimulatedTask, where: str) -> SimulatedTask:
    if not spec.cues or not any(spec.cues.values()):
        raise StreamError(f"{where[0].upper()}{where[1:]} has no cues; give it at least one concept with a weight.")
    for concept in spec.cues:
        require_choice(where, "concept in 'cues'", concept, list(CONCEPTS))
    require_choice(where, "topic", spec.topic, list(TOPICS))
    for split in SPLITS:
        require_range(where, split, getattr(spec, split), 2, 1_000_000)
    require_range(where, "balance", spec.balance, 0.01, 0.99)
    require_range(where, "label_noise", spec.label_noise, 0.0, 0.49)
    require_range(where, "cue_noise", spec.cue_noise, 0.0, 0.49)
    return spec


def _cue_contrast(spec: SimulatedTask) -> dict[str, float]:
    """d[word] = P(cue = word | second label) - P(cue = word | first label); words with d = 0 are left out."""
    total = sum(abs(weight) for weight in spec.cues.values())
    contrast: dict[str, float] = {}
    for concept, weight in spec.cues.items():
        share = (1 - 2 * spec.cue_noise) * weight / total
        first, second = CONCEPTS[concept]
        contrast.update({word: -share / len(first) for word in first})
        contrast.update({word: share / len(second) for word in second})
    return contrast


def _draw_labels(count: int, balance: float, rng: random.Random) -> list[int]:
    """`count` labels in random order with the asked share of ones, at least one of each."""
    ones = min(max(int(count * balance + 0.5), 1), count - 1)
    labels = [1] * ones + [0] * (count - ones)
    rng.shuffle(labels)
    return labels


def _add_noise(labels: list[int], noise: float, rng: random.Random) -> list[int]:
    """Turns round the asked share of the labels, exactly."""
    wrong = set(rng.sample(range(len(labels)), int(len(labels) * noise + 0.5)))
    return [1 - label if row in wrong else label for row, label in enumerate(labels)]


def _draw_cue(spec: SimulatedTask, label: int, rng: random.Random) -> str:
    concept = rng.choices(list(spec.cues), weights=[abs(weight) for weight in spec.cues.values()])[0]
    pole = label if spec.cues[concept] > 0 else 1 - label
    if rng.random() < spec.cue_noise:
        pole = 1 - pole
    return rng.choice(CONCEPTS[concept][pole])


def _draw_distractor(spec: SimulatedTask, rng: random.Random) -> str:
    ignored = [concept for concept in CONCEPTS if not spec.cues.get(concept)]
    # A task that listens to every concept has nothing to ignore; any word of either pole is as good as noise.
    return rng.choice(CONCEPTS[rng.choice(ignored or list(CONCEPTS))][rng.randrange(2)])


def _write(adjectives: list[str], fillers: int, nouns: tuple[str, ...], rng: random.Random) -> str:
    """One sentence for each adjective and each filler, in random order."""
    sentences = []
    for adjective in (*adjectives, *[None] * fillers):
        noun, other = rng.sample(nouns, 2)
        clause = rng.choice(CUE_CLAUSES if adjective else FILLER_CLAUSES)
        article = "an" if adjective and adjective[0] in "aeiou" else "a"
        sentence = clause.format(noun=noun, other=other, adjective=adjective, article=article)
        sentences.append(sentence[0].upper() + sentence[1:] + ".")
    rng.shuffle(sentences)
    return " ".join(sentences)
