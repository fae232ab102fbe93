"""Synthetic translation streams whose similarity between domains is known exactly.

Every domain writes the sentences of `streams.translation_words` about its own topics: articles, verbs, adjectives and
the order of words are common to all domains, nouns are not. Topics are mixed by weights; a noun is drawn with a
probability proportional to the weight of its topic. A domain may also give all its nouns their second translation, and
then contradicts domains about the same topics. So every domain has a known vector over nouns,

    d[noun] = P(noun) in the first translation, -P(noun) in the second,

and `SimulatedTranslationSource.similarity` is the cosine between these vectors: 1 for a recurring domain, -1 where the
same nouns mean something else, 0 where no noun is shared. The whole of a domain is some fifty words and one rule of
order, which a very small model learns in seconds.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from streams.errors import StreamError
from streams.options import from_mapping, option, require_choice, require_range
from streams.splits import text_key
from streams.task import SPLITS, Task
from streams.translation import METRIC
from streams.translation_languages import Direction
from streams.translation_words import ADJECTIVES, PREPOSITIONS, VERBS, Phrase, Sentence
from streams.words import TOPICS

if TYPE_CHECKING:
    import numpy as np

_ATTEMPTS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedDomain:
    """True parameters of one simulated domain; what is left out comes from `like`, then from the source."""

    name: str = option(help="name of the domain")
    topics: Mapping[str, float] | None = option(None, "weight of each topic whose nouns occur, above 0")
    like: str | None = option(None, "an earlier domain whose parameters this one repeats (a recurring domain)")
    swap_senses: bool = option(
        False, "give nouns their other translation: a domain that conflicts with the one it is like"
    )
    train: int | None = option(None, "number of training pairs")
    dev: int | None = option(None, "number of development pairs")
    test: int | None = option(None, "number of test pairs")
    shuffled: float | None = option(None, "share of the pairs of train and dev that bear another's translation")


DEFAULT_DOMAINS: tuple[Mapping[str, Any], ...] = (
    {"name": "kitchen", "topics": {"kitchen": 1.0}},
    {"name": "bistro", "topics": {"kitchen": 0.8, "garden": 0.6}},
    {"name": "office", "topics": {"office": 1.0}},
    {"name": "station", "topics": {"office": 0.5, "station": 0.866}},
    {"name": "kitchen-again", "like": "kitchen"},
    {"name": "canteen", "like": "kitchen", "swap_senses": True},
)
"""Six domains: similarity 0.8 (kitchen, bistro), 0.5 (office, station), 1 (recurring), -1 (conflicting), 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimulatedTranslationSource:
    """A source of simulated translation domains between English and a toy language; see the module's text.

    Raises:
        StreamError: on construction, if a domain repeats a name or refers to an unknown topic or domain, or a number
            is out of range.
    """

    kind: ClassVar[str] = "simulated_translation"

    name: str = option("simulated_translation", "name of the stream")
    tasks: tuple[Mapping[str, Any], ...] = option(
        DEFAULT_DOMAINS, "one mapping for each domain: name, topics, like, swap_senses and any of the numbers below"
    )
    direction: Literal["en-toy", "toy-en"] = option("en-toy", "from English into the toy language, or back")
    train: int = option(400, "number of training pairs of a domain")
    dev: int = option(50, "number of development pairs of a domain")
    test: int = option(100, "number of test pairs of a domain")
    adjectives: float = option(0.4, "probability that a noun has an adjective")
    places: float = option(0.3, "probability that a sentence names a place")
    shuffled: float = option(
        0.0, "share of the pairs of train and dev that bear another's translation; test never does"
    )
    split_seed: int = option(0, "seed of the sentences")

    def __post_init__(self) -> None:
        where = f"stream {self.name!r}"
        require_choice(where, "direction", self.direction, ["en-toy", "toy-en"])
        require_range(where, "adjectives", self.adjectives, 0.0, 1.0)
        require_range(where, "places", self.places, 0.0, 1.0)
        if not self.tasks:
            raise StreamError(f"Stream {self.name!r} has no domains; list at least one under 'tasks'.")
        self._specs  # noqa: B018 - resolves and checks every domain

    @property
    def task_names(self) -> list[str]:
        """Names of the domains as listed."""
        return list(self._specs)

    @property
    def similarity(self) -> np.ndarray:
        """The truth: T x T cosines between the domains' vectors over nouns, in [-1, 1], in listed order."""
        import numpy as np

        nouns = [noun for topic in TOPICS.values() for noun in topic]
        vectors = np.zeros((len(self._specs), len(nouns)))
        for row, spec in enumerate(self._specs.values()):
            weights = _noun_weights(spec)
            vectors[row] = [weights.get(noun, 0.0) for noun in nouns]
            vectors[row] *= -1 if spec.swap_senses else 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.clip(vectors @ vectors.T, -1.0, 1.0)

    def load(self, task_name: str) -> Task:
        """Writes the sentences of one domain; the same seed and parameters always give the same sentences."""
        from datasets import Dataset, Features, Value

        require_choice(f"stream {self.name!r}", "task", task_name, self.task_names)
        spec = self._specs[task_name]
        rng = random.Random(f"{self.split_seed}/{task_name}")
        seen: set[str] = set()
        features = Features({"text": Value("string"), "target": Value("string")})
        splits = {}
        for split in SPLITS:
            pairs = [self._draw_pair(spec, rng, seen) for _ in range(getattr(spec, split))]
            texts, targets = (list(side) for side in zip(*pairs, strict=True))
            if split != "test":
                _shuffle_some(targets, spec.shuffled, rng)
            splits[split] = Dataset.from_dict({"text": texts, "target": targets}, features=features)
        direction = Direction.parse(self.direction, f"stream {self.name!r}")
        info = {
            "source": self.kind,
            "seed": self.split_seed,
            "source_language": direction.source,
            "target_language": direction.target,
            "direction": str(direction),
            "truth": dataclasses.asdict(spec),
        }
        return Task(name=task_name, labels=(), kind="translation", metric=METRIC, info=info, **splits)

    @cached_property
    def _specs(self) -> dict[str, SimulatedDomain]:
        specs: dict[str, SimulatedDomain] = {}
        for number, entry in enumerate(self.tasks, 1):
            where = f"domain {number} of stream {self.name!r}"
            spec = entry if isinstance(entry, SimulatedDomain) else from_mapping(SimulatedDomain, entry, where)
            if spec.name in specs:
                raise StreamError(f"Stream {self.name!r} lists the domain {spec.name!r} twice; rename one.")
            where = f"domain {spec.name!r} of stream {self.name!r}"
            specs[spec.name] = _checked(_completed(spec, specs, self, where), where)
        return specs

    def _draw_pair(self, spec: SimulatedDomain, rng: random.Random, seen: set[str]) -> tuple[str, str]:
        """A sentence that is in no split of the domain yet, with its translation."""
        for _ in range(_ATTEMPTS):
            sentence = self._draw_sentence(spec, rng)
            english = sentence.english()
            if (key := text_key(english)) not in seen:
                seen.add(key)
                toy = sentence.toy(int(spec.swap_senses))
                return (english, toy) if self.direction == "en-toy" else (toy, english)
        raise StreamError(
            f"Domain {spec.name!r} of stream {self.name!r} asks for more sentences than its words can form; lower "
            "train, dev and test, or raise adjectives and places."
        )

    def _draw_sentence(self, spec: SimulatedDomain, rng: random.Random) -> Sentence:
        weights = _noun_weights(spec)
        nouns = rng.choices(list(weights), weights=list(weights.values()), k=3)
        phrases = [Phrase(noun, rng.choice(ADJECTIVES) if rng.random() < self.adjectives else None) for noun in nouns]
        verb = rng.choice(VERBS)
        if rng.random() < self.places:
            return Sentence(phrases[0], verb, phrases[1], rng.choice(PREPOSITIONS), phrases[2])
        return Sentence(phrases[0], verb, phrases[1])


def _completed(
    spec: SimulatedDomain, earlier: Mapping[str, SimulatedDomain], source: SimulatedTranslationSource, where: str
) -> SimulatedDomain:
    """`spec` with what it leaves out filled from the domain it is like, then from the source's defaults."""
    model: Any = source
    if spec.like is not None:
        require_choice(where, "earlier domain in 'like'", spec.like, list(earlier))
        model = earlier[spec.like]
    values = {
        name: getattr(model, name, None) if getattr(spec, name) is None else getattr(spec, name)
        for name in ("topics", *SPLITS, "shuffled")
    }
    # Like the weights of a simulated classification: what is like a swapped domain and swaps is back at the first.
    swapped = spec.swap_senses != (spec.like is not None and model.swap_senses)
    return dataclasses.replace(spec, swap_senses=swapped, **values)


def _checked(spec: SimulatedDomain, where: str) -> SimulatedDomain:
    if not spec.topics or any(weight <= 0 for weight in spec.topics.values()):
        raise StreamError(f"{where[0].upper()}{where[1:]} needs topics, each with a weight above 0; correct 'topics'.")
    for topic in spec.topics:
        require_choice(where, "topic in 'topics'", topic, list(TOPICS))
    for split in SPLITS:
        require_range(where, split, getattr(spec, split), 1, 1_000_000)
    require_range(where, "shuffled", spec.shuffled, 0.0, 1.0)
    return spec


def _noun_weights(spec: SimulatedDomain) -> dict[str, float]:
    """The probability of each noun of a domain."""
    total = sum(spec.topics.values())
    return {
        noun: weight / total / len(TOPICS[topic]) for topic, weight in spec.topics.items() for noun in TOPICS[topic]
    }


def _shuffle_some(targets: list[str], share: float, rng: random.Random) -> None:
    """Hands the asked share of the targets on to one another, so that none of these keeps its own."""
    rows = rng.sample(range(len(targets)), int(len(targets) * share + 0.5))
    moved = [targets[row] for row in rows]
    for row, target in zip(rows, moved[1:] + moved[:1], strict=True):
        targets[row] = target
