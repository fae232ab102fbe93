"""Languages of parallel text: the direction of a translation, names that mean a language, and scripts."""

from __future__ import annotations

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable

from streams.errors import StreamError

_TAG = re.compile(r"[a-z]{2,3}(-([a-z]{4}|[a-z]{2}|[0-9]{3}))*")

_LANGUAGES_BY_SCRIPT = {
    "LATIN": "af az bs ca cs cy da de en es et eu fi fil fr ga gl hr hu id is it lb lt lv ms mt nb nl nn no pl pt ro "
    "sk sl sq sv sw tl tr uz vi",
    "CYRILLIC": "be bg kk ky mk mn ru tg tt uk",
    "ARABIC": "ar fa ps ur",
    "DEVANAGARI": "hi mr ne sa",
    "CJK HIRAGANA KATAKANA": "ja",
    "CJK": "zh",
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "HANGUL CJK": "ko",
    "HEBREW": "he yi",
    "KANNADA": "kn",
    "KHMER": "km",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
_SCRIPTS = {
    language: frozenset(scripts.split())
    for scripts, languages in _LANGUAGES_BY_SCRIPT.items()
    for language in languages.split()
}
_LATIN = frozenset({"LATIN"})
# By their codes in ISO 15924, where a language names its script, as in uz_Cyrl.
_SCRIPTS_BY_CODE = {
    "arab": "ARABIC",
    "armn": "ARMENIAN",
    "beng": "BENGALI",
    "cyrl": "CYRILLIC",
    "deva": "DEVANAGARI",
    "ethi": "ETHIOPIC",
    "geor": "GEORGIAN",
    "grek": "GREEK",
    "gujr": "GUJARATI",
    "guru": "GURMUKHI",
    "hang": "HANGUL",
    "hani": "CJK",
    "hans": "CJK",
    "hant": "CJK",
    "hebr": "HEBREW",
    "hira": "HIRAGANA",
    "jpan": "CJK HIRAGANA KATAKANA",
    "kana": "KATAKANA",
    "khmr": "KHMER",
    "knda": "KANNADA",
    "kore": "HANGUL CJK",
    "laoo": "LAO",
    "latn": "LATIN",
    "mlym": "MALAYALAM",
    "mong": "MONGOLIAN",
    "mymr": "MYANMAR",
    "orya": "ORIYA",
    "sinh": "SINHALA",
    "taml": "TAMIL",
    "telu": "TELUGU",
    "thai": "THAI",
    "tibt": "TIBETAN",
}
# Letters whose names do not begin with their script: forms of another width, and marks of repetition and length.
_WIDTHS = frozenset({"FULLWIDTH", "HALFWIDTH"})
_RENAMED = {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "KATAKANA"}
# The blocks of Latin letters in use, up to Extended-B: nearly all sentences of these languages need no closer look.
_BEYOND_LATIN = re.compile("[^\u0000-\u024f\u2000-\u206f]")


@dataclasses.dataclass(frozen=True)
class Direction:
    """From which language into which: `en-de`, or `pt_BR-en` where a region matters."""

    source: str
    target: str

    @classmethod
    def parse(cls, text: str, where: str) -> Direction:
        """The direction written as `SOURCE-TARGET`.

        Raises:
            StreamError: `text` is not two different languages; `where` names what was configured.
        """
        parts = text.split("-")
        if len(parts) != 2 or not all(is_language(part) for part in parts) or normal(parts[0]) == normal(parts[1]):
            raise StreamError(
                f"{where[:1].upper()}{where[1:]} has the direction {text!r}; expected two language codes such as "
                "en-de, with an underscore before a region, as in pt_BR-en."
            )
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target


def normal(code: str) -> str:
    """A language code in the one spelling in which codes are compared: `de_AT` as `de-at`."""
    return code.strip().lower().replace("_", "-")


def is_language(code: str) -> bool:
    """Whether `code` looks like a language code: two or three letters, then script or region."""
    return _TAG.fullmatch(normal(code)) is not None


def find_language(asked: str, names: Iterable[str]) -> str | None:
    """The one of `names` that means the language `asked`, or None.

    The same code comes first, then a regional one where none was asked for (`de-DE` for `de`), then the bare language
    where a region was (`de` for `de-AT`); among equals the first.
    """
    wanted = normal(asked)
    best, found = 3, None
    for name in names:
        code = normal(name)
        if code == wanted:
            rank = 0
        elif code.startswith(f"{wanted}-") and is_language(code):
            rank = 1
        elif wanted.startswith(f"{code}-") and is_language(code):
            rank = 2
        else:
            continue
        if rank < best:
            best, found = rank, name
    return found


def script_share(text: str, language: str) -> float | None:
    """The share of the letters of `text` that belong to a script of `language`.

    None where the text has no letters or the script of the language is not known here.
    """
    scripts = _scripts_of(normal(language))
    if scripts is None:
        return None
    if scripts == _LATIN and _BEYOND_LATIN.search(text) is None:
        return 1.0
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return None
    return sum(_script(letter) in scripts for letter in letters) / len(letters)


@functools.lru_cache(maxsize=256)
def _scripts_of(code: str) -> frozenset[str] | None:
    """The scripts of a language code: the one it names itself, else the usual ones; None where none is known."""
    language, *subtags = code.split("-")
    named = next((subtag for subtag in subtags if len(subtag) == 4 and subtag.isalpha()), None)
    if named is None:
        return _SCRIPTS.get(language)
    return frozenset(_SCRIPTS_BY_CODE[named].split()) if named in _SCRIPTS_BY_CODE else None


@functools.lru_cache(maxsize=65_536)
def _script(letter: str) -> str:
    """The script in the letter's Unicode name: `CYRILLIC SMALL LETTER A`, `CJK UNIFIED IDEOGRAPH-4E00`."""
    words = unicodedata.name(letter, "?").split()
    first = words[1] if words[0] in _WIDTHS else words[0]
    return _RENAMED.get(first, first)
