"""Files of parallel text: tables, translation memories and Moses pairs, found by their names and read as tables.

A *corpus* is one body of sentence pairs: `NAME.tsv` (or any other table), `NAME.tmx`, or the two files `NAME.en` and
`NAME.de` whose lines correspond. Each may be gzipped. A trailing pair of languages, as in `NAME.de-en.en`, belongs to
no name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from streams.errors import StreamError
from streams.reading import SUFFIXES, FileOptions, Table, missing_file, read_table, read_text, table_suffix
from streams.translation_languages import Direction, find_language, normal
from streams.translation_tmx import read_tmx

_TMX = ".tmx"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The file of a corpus, or the two files of a Moses pair, that of the source language first."""

    name: str
    files: tuple[Path, ...]


def find_corpora(
    folder: Path, direction: Direction, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, Corpus]:
    """The corpora that lie in a folder, by name and in order of names; other files are passed over.

    Args:
        folder: an existing folder.
        direction: the languages that files of a Moses pair are called by.
        wanted: which names to look at.

    Raises:
        StreamError: there are two corpora of one name, or one half of a Moses pair.
    """
    found = _files_by_name(folder, direction)
    return {name: _corpus(name, files, direction) for name, files in found.items() if wanted(name)}


def find_corpus(path: Path, direction: Direction) -> Corpus:
    """The corpus at `path`: one of its files, or what the names of its files have in common (`data/news` of a pair).

    Raises:
        StreamError: there is none, or it is incomplete.
    """
    found = _files_by_name(path.parent, direction) if path.parent.is_dir() else {}
    for name, files in found.items():
        if path in files:
            # The table `NAME.tsv` may lie beside a pair of the same name: whoever names a file means that one.
            other = [file for file in files if _language(file, direction) is not None]
            return _corpus(name, other if path in other else [path], direction)
        if path.name == name:
            return _corpus(name, files, direction)
    if path.is_file():
        endings = ", ".join((*SUFFIXES, _TMX, *(f".{language}" for language in direction.languages)))
        raise StreamError(f"{path} is no file of parallel text; use one ending in {endings} or those with .gz.")
    raise StreamError(f"Found no parallel text at {path}: {missing_file(path)}")


def read_corpus(corpus: Corpus, direction: Direction, options: FileOptions, property_name: str | None = None) -> Table:
    """The rows of a corpus; the columns of a Moses pair and of a translation memory are the two languages.

    Args:
        corpus: what to read.
        direction: the languages.
        options: how tables and texts are read.
        property_name: type of the properties of a translation memory that become a further column.

    Raises:
        StreamError: a file cannot be read, see `read_table` and `read_tmx`, or two files do not correspond.
    """
    if len(corpus.files) == 2:
        return _read_moses(corpus, direction, options.encoding)
    (file,) = corpus.files
    if _suffix(file) == _TMX:
        return read_tmx(file, direction, property_name)
    return read_table(file, options)


def _read_moses(corpus: Corpus, direction: Direction, encoding: str) -> Table:
    sides, notes = [], {}
    for file in corpus.files:
        text, repaired = read_text(file, encoding)
        # Only \n ends a line: splitlines() would also break at U+2028 and friends inside a sentence.
        sides.append(text.removesuffix("\n").split("\n"))
        notes.update({key: notes.get(key, 0) + count for key, count in repaired.items()})
    first, second = (len(lines) for lines in sides)
    if first != second:
        raise StreamError(
            f"{corpus.files[0]} has {first} lines and {corpus.files[1].name} has {second}, but line by line they must "
            "correspond; fetch both again, or align them."
        )
    return Table(str(corpus.files[0]), direction.languages, sides, range(1, first + 1), notes)


def _files_by_name(folder: Path, direction: Direction) -> dict[str, list[Path]]:
    """The files of parallel text in a folder, by the name of their corpus."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        known = table_suffix(entry) is not None or _suffix(entry) == _TMX or _language(entry, direction) is not None
        if known and entry.is_file() and not entry.name.startswith("."):
            found.setdefault(_name(entry, direction), []).append(entry)
    return found


def _corpus(name: str, files: list[Path], direction: Direction) -> Corpus:
    halves = {language: file for file in files if (language := _language(file, direction)) is not None}
    if len(files) == 1 and not halves:
        return Corpus(name, tuple(files))
    if len(files) == 2 and len(halves) == 2:
        return Corpus(name, tuple(halves[language] for language in direction.languages))
    if len(files) == 1:
        (present,) = halves
        (absent,) = set(direction.languages) - {present}
        raise StreamError(
            f"{files[0]} has no other half {name}.{absent} beside it; put it there, or move the file out of the folder."
        )
    raise StreamError(f"{files[0].parent} has {_listed(files)}, all of them {name!r}; keep one table, memory or pair.")


def _listed(files: Iterable[Path]) -> str:
    *most, last = (file.name for file in files)
    return f"{', '.join(most)} and {last}"


def _name(file: Path, direction: Direction) -> str:
    """The file's name without its ending, and without the pair of languages that often stands before that."""
    stem = _bare(file).stem
    start, dot, end = stem.rpartition(".")
    codes = sorted(normal(part) for part in end.split("-"))
    return start if dot and codes == sorted(map(normal, direction.languages)) else stem


def _language(file: Path, direction: Direction) -> str | None:
    """The language of the direction that the ending of a file names, or None."""
    suffix = _suffix(file)[1:]
    return next((language for language in direction.languages if suffix and find_language(language, [suffix])), None)


def _suffix(file: Path) -> str:
    return _bare(file).suffix.lower()


def _bare(file: Path) -> Path:
    """The path without `.gz`."""
    return file.with_suffix("") if file.suffix.lower() == ".gz" else file
