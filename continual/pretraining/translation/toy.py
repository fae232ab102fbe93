"""A made-up pool of English and German sentences, so that a small model can be trained without any file.

A sentence tells who does what to whom, where or when. The German one obeys the grammar that makes it more than a list
of words: articles and adjectives agree with gender and case, the verb stands second, or last behind "weil". So a model
has to learn a lexicon, agreement and order, and its translations can be right or wrong.
"""

import random
from collections.abc import Iterator

NOUNS = (
    ("man", "Mann", "m"),
    ("woman", "Frau", "f"),
    ("child", "Kind", "n"),
    ("teacher", "Lehrer", "m"),
    ("neighbour", "Nachbarin", "f"),
    ("dog", "Hund", "m"),
    ("cat", "Katze", "f"),
    ("horse", "Pferd", "n"),
    ("table", "Tisch", "m"),
    ("lamp", "Lampe", "f"),
    ("house", "Haus", "n"),
    ("book", "Buch", "n"),
    ("letter", "Brief", "m"),
    ("flower", "Blume", "f"),
    ("picture", "Bild", "n"),
    ("car", "Auto", "n"),
    ("key", "Schlüssel", "m"),
    ("bag", "Tasche", "f"),
)
"""English, German, gender."""

ADJECTIVES = (
    ("old", "alt"),
    ("young", "jung"),
    ("small", "klein"),
    ("big", "groß"),
    ("new", "neu"),
    ("red", "rot"),
    ("green", "grün"),
    ("white", "weiß"),
    ("beautiful", "schön"),
    ("tired", "müd"),
)
"""English, German stem."""

VERBS = (
    ("sees", "sieht"),
    ("finds", "findet"),
    ("buys", "kauft"),
    ("sells", "verkauft"),
    ("draws", "zeichnet"),
    ("needs", "braucht"),
    ("knows", "kennt"),
    ("looks for", "sucht"),
    ("carries", "trägt"),
    ("loves", "liebt"),
)

PLACES = (
    ("in the garden", "im Garten"),
    ("in the city", "in der Stadt"),
    ("at the station", "am Bahnhof"),
    ("on the street", "auf der Straße"),
    ("at school", "in der Schule"),
    ("by the river", "am Fluss"),
)

TIMES = (
    ("today", "heute"),
    ("tomorrow", "morgen"),
    ("often", "oft"),
    ("in the morning", "am Morgen"),
    ("every day", "jeden Tag"),
    ("sometimes", "manchmal"),
)

REASONS = (
    ("because it rains", "weil es regnet"),
    ("because the shop is closed", "weil der Laden geschlossen ist"),
    ("because the summer is over", "weil der Sommer vorbei ist"),
)

# Articles and adjective endings by (definite, case, gender): nominative and accusative differ in the masculine alone.
_ARTICLES = {
    (True, "nominative"): {"m": ("der", "e"), "f": ("die", "e"), "n": ("das", "e")},
    (True, "accusative"): {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")},
    (False, "nominative"): {"m": ("ein", "er"), "f": ("eine", "e"), "n": ("ein", "es")},
    (False, "accusative"): {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")},
}


def toy_pairs(seed: int, name: str) -> Iterator[tuple[str, str]]:
    """English and German sentences without end, drawn with repetition.

    Args:
        seed: Decides the sentences.
        name: Decides them too: pairs of another name are drawn independently.
    """
    rng = random.Random(f"{seed}/{name}")
    while True:
        yield _sentence(rng)


def _sentence(rng: random.Random) -> tuple[str, str]:
    subject, object_ = _pick(NOUNS, rng), _pick(NOUNS, rng)
    who = _phrase(subject, "nominative", rng)
    whom = _phrase(object_, "accusative", rng)
    verb, place, time = _pick(VERBS, rng), _pick(PLACES, rng), _pick(TIMES, rng)
    shape = _pick(("plain", "time first", "place", "reason"), rng)
    if shape == "time first":
        return _written(
            [f"{time[0]},", who[0], verb[0], whom[0], place[0]], [time[1], verb[1], who[1], whom[1], place[1]]
        )
    if shape == "place":
        return _written([who[0], verb[0], whom[0], place[0]], [who[1], verb[1], place[1], whom[1]])
    if shape == "reason":
        reason = _pick(REASONS, rng)
        return _written([who[0], verb[0], whom[0], reason[0]], [who[1], verb[1], f"{whom[1]},", reason[1]])
    return _written([who[0], verb[0], whom[0], time[0]], [who[1], verb[1], time[1], whom[1]])


def _phrase(noun: tuple[str, str, str], case: str, rng: random.Random) -> tuple[str, str]:
    """Article, adjective or none, noun: in both languages."""
    definite = rng.random() < 0.5
    article, ending = _ARTICLES[definite, case][noun[2]]
    adjective = _pick(ADJECTIVES, rng) if rng.random() < 0.7 else None
    english = [adjective[0], noun[0]] if adjective else [noun[0]]
    german = [article, f"{adjective[1]}{ending}", noun[1]] if adjective else [article, noun[1]]
    before = "the" if definite else "an" if english[0][0] in "aeiou" else "a"
    return " ".join([before, *english]), " ".join(german)


def _written(english: list[str], german: list[str]) -> tuple[str, str]:
    first, second = " ".join(english), " ".join(german)
    return f"{first[0].upper()}{first[1:]}.", f"{second[0].upper()}{second[1:]}."


def _pick(items: tuple, rng: random.Random):
    return items[int(rng.random() * len(items))]
