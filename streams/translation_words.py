"""The toy language of the simulated translation stream: its dictionary and its grammar.

English sentences are `[adjective] noun verb [adjective] noun [preposition noun]` with an article before every noun. The
toy language puts the verb at the end, adjectives behind their nouns and the place in front, word for word:

    the cook found the cold soup near the stove
    near the stove the cook the soup cold found     (in the words of the toy language)

Words of the toy language are made of syllables and are the same for ever. Every noun has two translations, so that two
domains can agree or disagree on what the same noun means.
"""

from __future__ import annotations

import dataclasses
import functools
import random

from streams.words import TOPICS

ARTICLE = "the"
VERBS = ("found", "lifted", "touched", "moved", "watched", "reached", "dropped", "carried", "noticed", "cleaned")
ADJECTIVES = ("cold", "warm", "small", "huge", "slow", "quick", "old", "new", "dark", "bright", "rough", "smooth")
PREPOSITIONS = ("near", "behind", "under", "beside")

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_SYLLABLES = (2, 3)


@dataclasses.dataclass(frozen=True)
class Phrase:
    """A noun with or without an adjective."""

    noun: str
    adjective: str | None = None


@dataclasses.dataclass(frozen=True)
class Sentence:
    """What a sentence says, before it is put into words."""

    subject: Phrase
    verb: str
    object: Phrase
    preposition: str | None = None
    place: Phrase | None = None

    def english(self) -> str:
        """The sentence in English, in lower case and without a full stop."""
        words = [*_english(self.subject), self.verb, *_english(self.object)]
        if self.preposition and self.place:
            words += [self.preposition, *_english(self.place)]
        return " ".join(words)

    def toy(self, sense: int) -> str:
        """The sentence in the toy language, its nouns in their first (0) or second (1) translation."""
        words = [*_toy(self.subject, sense), *_toy(self.object, sense), translation(self.verb)]
        if self.preposition and self.place:
            words = [translation(self.preposition), *_toy(self.place, sense), *words]
        return " ".join(words)


def _english(phrase: Phrase) -> list[str]:
    return [ARTICLE, *([phrase.adjective] if phrase.adjective else []), phrase.noun]


def _toy(phrase: Phrase, sense: int) -> list[str]:
    adjective = [translation(phrase.adjective)] if phrase.adjective else []
    return [translation(ARTICLE), translation(phrase.noun, sense), *adjective]


def translation(word: str, sense: int = 0) -> str:
    """The toy word for an English word of the simulation; no two words and senses share one, and none is English."""
    return _dictionary()[word, sense]


@functools.cache
def _dictionary() -> dict[tuple[str, int], str]:
    nouns = [noun for topic in TOPICS.values() for noun in topic]
    entries = [(word, 0) for word in (ARTICLE, *VERBS, *ADJECTIVES, *PREPOSITIONS, *nouns)]
    entries += [(noun, 1) for noun in nouns]
    made: dict[tuple[str, int], str] = {}
    used = {word for word, _ in entries}  # no toy word is an English one
    for entry in entries:
        rng = random.Random(f"toy/{entry[0]}/{entry[1]}")
        word = _drawn(rng)
        while word in used:
            word = _drawn(rng)
        used.add(word)
        made[entry] = word
    return made


def _drawn(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(*_SYLLABLES)))
