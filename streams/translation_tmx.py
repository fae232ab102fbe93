"""Translation memories: TMX 1.4 read as a stream, unit by unit, so that a large file needs little memory.

Entities are refused rather than expanded, since a few nested ones can fill any memory, and nothing that the file refers
to is ever fetched. The usual `<!DOCTYPE tmx SYSTEM "tmx14.dtd">` is therefore read and not followed.
"""

from __future__ import annotations

import contextlib
import gzip
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from streams.errors import StreamError
from streams.reading import Table, reading_errors
from streams.translation_languages import Direction, find_language

_CHUNK = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
# What these hold is native code of the format that was translated, not text of the sentence.
_CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})


def read_tmx(path: Path, direction: Direction, property_name: str | None = None) -> Table:
    """The translation units of a TMX file, gzipped or not, that have both languages.

    Of several variants of a language in one unit the closest is taken, see `find_language`. Inline codes are left out,
    the text that `hi` encloses is kept.

    Args:
        path: the file.
        direction: the two languages, which are also the names of the table's columns.
        property_name: type of the `prop` of each unit that becomes a further column; empty where a unit has none.

    Returns:
        A table whose rows are found by the line on which their unit begins; its note `units_without_pair` counts the
        units that lack a language.

    Raises:
        StreamError: the file is missing, is no TMX, is damaged, declares entities, or no unit has both languages.
    """
    units = _Units(str(path), direction, property_name)
    for chunk in _chunks(path):
        units.feed(chunk)
    units.feed(b"", last=True)
    return units.table()


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of the file, unpacked."""
    with reading_errors(path), path.open("rb") as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if packed else contextlib.nullcontext(raw) as file:
            while chunk := file.read(_CHUNK):
                yield chunk


class _Units:
    """Collects the units while the parser reports what it meets."""

    def __init__(self, file: str, direction: Direction, property_name: str | None) -> None:
        self._file, self._direction, self._property_name = file, direction, property_name
        self._columns: tuple[list[str], list[str], list[str]] = ([], [], [])
        self._lines = array("q")
        self._without_pair = 0
        self._seen: dict[str, None] = {}  # languages of the file, in order
        self._types: dict[str, None] = {}  # of the properties of its units, likewise
        self._in_unit = False
        self._depth = 0
        self._line = 0
        self._variants: dict[str, str] = {}
        self._language: str | None = None  # of the `tuv` that is open
        self._property = ""
        self._text: list[str] | None = None  # of the `seg` or `prop` that is open
        self._codes = 0
        self._parser = self._made_parser()

    def _made_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.EntityDeclHandler = self._refuse_entity
        parser.SkippedEntityHandler = self._refuse_unknown_entity
        return parser

    def feed(self, chunk: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(chunk, last)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code)
            self._refuse(f"not valid XML ({reason}); repair it or export it again", error.lineno)
        except (LookupError, ValueError) as error:  # from the parser's look-up of the declared encoding
            self._refuse(f"its encoding cannot be read ({error}); convert it to UTF-8")

    def table(self) -> Table:
        source, target, properties = self._columns
        if not self._lines:
            found = ", ".join(self._seen) or "none"
            asked = " and ".join(self._direction.languages)
            self._refuse(f"no translation unit has both {asked}; its languages are {found}; correct the direction")
        if self._property_name is not None and self._property_name not in self._types:
            found = f"those there are have the types {', '.join(self._types)}" if self._types else "units have none"
            self._refuse(
                f"no translation unit has a property of type {self._property_name!r}; {found}; correct the domain"
            )
        names, cells = self._direction.languages, [source, target]
        if self._property_name is not None:
            names, cells = (*names, self._property_name), [source, target, properties]
        notes = {"units_without_pair": self._without_pair} if self._without_pair else {}
        return Table(self._file, names, cells, self._lines, notes)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and name != "tmx":
            self._refuse(f"expected a translation memory, which begins with <tmx>, found <{name}>; name another file")
        self._depth += 1
        if self._text is not None:
            self._codes += name in _CODES or self._codes > 0
        elif name == "tu":
            self._variants, self._property, self._line = {}, "", self._parser.CurrentLineNumber
            self._in_unit = True
        elif name == "tuv":
            # TMX before 1.4 wrote `lang`.
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
            self._seen.setdefault(self._language)
        elif (name == "seg" and self._language is not None) or self._is_property(name, attributes):
            self._text = []

    def _is_property(self, name: str, attributes: dict[str, str]) -> bool:
        if name != "prop" or not self._in_unit or self._language is not None:
            return False
        kind = attributes.get("type", "")
        self._types.setdefault(kind)
        return kind == self._property_name

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._text is not None and self._codes:
            self._codes -= 1
        elif self._text is not None and name in ("seg", "prop"):
            text, self._text = "".join(self._text), None
            if name == "prop":
                self._property = text
            elif self._language is not None:
                self._variants.setdefault(self._language, text)
        elif name == "tuv":
            self._language = None
        elif name == "tu":
            self._in_unit = False
            self._close_unit()

    def _close_unit(self) -> None:
        found = [find_language(language, self._variants) for language in self._direction.languages]
        if None in found:
            self._without_pair += 1
            return
        for column, text in zip(
            self._columns, (*(self._variants[name] for name in found), self._property), strict=True
        ):
            column.append(text)
        self._lines.append(self._line)

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._codes:
            self._text.append(text)

    def _refuse_entity(self, name: str, *_: object) -> NoReturn:
        self._refuse(
            f"declares the entity {name!r}, but entities can be made to fill the memory and are not read; write "
            "what it stands for in its place",
            self._parser.CurrentLineNumber,
        )

    def _refuse_unknown_entity(self, name: str, *_: object) -> NoReturn:
        self._refuse(
            f"the entity &{name}; is defined nowhere in the file; write the character in its place",
            self._parser.CurrentLineNumber,
        )

    def _refuse(self, problem: str, line: int | None = None) -> NoReturn:
        place = self._file if line is None else f"{self._file}, line {line}"
        raise StreamError(f"{place}: {problem}.")
