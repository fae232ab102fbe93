"""TinyBERT's data augmentation: copies of a text in which words are replaced by likely ones.

Jiao et al. 2020 (arXiv 1909.10351). Every word that is alphabetic and no function word has candidates, computed once. A
word of one piece is masked and a masked language model proposes what could stand there, the original text beside it as
second segment; a word of several pieces has the nearest words by their embeddings. In each copy each word is replaced,
with a probability, by one of its candidates drawn at random. Labels are inherited.

The paper takes BERT and GloVe. Here the masked language model is whichever is at hand, and where there is none, and for
words of several pieces, the neighbours are those of the backbone's own word embeddings (a word of several pieces: their
mean). In pairs each text is changed in turn while the other stays as it was; in the released code it stays as it was
changed last.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from continual.backbone.encoder import Encoder
from continual.errors import ConfigError
from continual.pretraining.optimisation import setting
from continual.seeding import seed_of
from continual.students.encoders.labelled import Row

_FUNCTION_WORDS = """
a about after again all am an and any are as at be because been before being below between both but by can could did do
does doing down during each few for from further had has have having he her here hers him his how i if in into is it its
just me more most my no nor not now of off on once only or other our out over own same she should so some such than that
the their them then there these they this those through to too under until up very was we were what when where which
while who whom why will with would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_PARTS = re.compile(r"[A-Za-z]+|[^A-Za-z]+")


@dataclass(frozen=True)
class AugmentationConfig:
    """How training texts are multiplied."""

    copies: int = setting(4, "copies of each text beside itself; the paper makes 20")
    candidates: int = setting(15, "words that may replace a word")
    probability: float = setting(0.4, "with which a word that has candidates is replaced")
    model: str | None = setting(
        None, "folder or hub name of a masked language model; neighbours by the backbone's word embeddings if null"
    )

    def __post_init__(self) -> None:
        if self.copies < 0 or self.candidates < 1:
            raise ConfigError(
                f"augmentation.copies is {self.copies} and augmentation.candidates {self.candidates}, expected 0 or "
                "more and 1 or more."
            )
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"augmentation.probability is {self.probability}, expected a number in [0, 1].")

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the copies; a digest of the files in the place of the model's path."""
        from continual.students.models import ModelSpec

        return asdict(self) | {"model": ModelSpec({"path": self.model}).identity()["path"]}


class Proposer(Protocol):
    """Knows which words could stand in the place of a word."""

    def propose(self, words: Sequence[str], places: Sequence[int]) -> dict[int, list[str]]:
        """Candidates for some places of a text.

        Args:
            words: The parts of a text, which make it when they are joined: words, and what is between them.
            places: Which parts are asked for.
        """


def augmented(rows: Sequence[Row], backbone: Encoder, config: AugmentationConfig, seed: int) -> list[Row]:
    """All rows, each followed by its copies; what came out the same is left out.

    Args:
        rows: The training texts.
        backbone: Whose word embeddings are at hand.
        config: How much is changed.
        seed: Decides, together with the text, what is drawn.
    """
    if not config.copies:
        return list(rows)
    from continual.students.encoders.proposals import proposer_of

    proposer = proposer_of(backbone, config)
    found: dict[Row, None] = {}
    for row in rows:
        found[row] = None
        for text in _copies(row.text, proposer, config, seed):
            found[replace(row, text=text)] = None
        for text in _copies(row.pair or "", proposer, config, seed):
            found[replace(row, pair=text)] = None
    return list(found)


def replaceable(words: Sequence[str]) -> list[int]:
    """The places of words that may be replaced: alphabetic ones that are no function words."""
    return [place for place, word in enumerate(words) if word.isalpha() and word.lower() not in FUNCTION_WORDS]


def split(text: str) -> list[str]:
    """A text as words and what is between them; joined, they are the text."""
    return _PARTS.findall(text)


def _copies(text: str, proposer: Proposer, config: AugmentationConfig, seed: int) -> list[str]:
    words = split(text)
    places = replaceable(words)
    if not places:
        return []
    candidates = proposer.propose(words, places)
    rng = random.Random(seed_of(seed, "augmentation", text))
    return [_copy(words, candidates, config.probability, rng) for _ in range(config.copies)]


def _copy(words: Sequence[str], candidates: dict[int, list[str]], probability: float, rng: random.Random) -> str:
    changed = list(words)
    for place, options in candidates.items():
        # Both are drawn for every word, so that a word's fate does not move those behind it.
        option, replaced = rng.choice(options) if options else None, rng.random() < probability
        if option is not None and replaced:
            changed[place] = option.capitalize() if words[place].istitle() else option
    return "".join(changed)
