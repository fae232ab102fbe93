"""Stance: does a text favour a target, oppose it, or neither? Every target is a task on pairs (text, target).

Paper: Mohammad, Kiritchenko, Sobhani, Zhu, Cherry, "SemEval-2016 Task 6: Detecting Stance in Tweets", SemEval 2016.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from streams.conversion import scalar_text
from streams.errors import StreamError
from streams.options import option
from streams.reading import FileOptions, Table, merged_notes, read_table, read_text
from streams.rows import ColumnOptions, LabelNames, Splits, read_rows
from streams.rumor import TweetOptions
from streams.source import DomainSource, required_path

STANCES = ("favor", "against", "none")
"""Label names of every stance task, in the order that the metric `stance_f1` relies on."""

METRIC = "stance_f1"
"""The metric of every stance task: the mean of the F1 of favor and of against."""

_SPELLINGS = {"favor": "favor", "favour": "favor", "against": "against", "none": "none"}
_UNLABELLED = ("", "?", "unknown")
_MARKER = re.compile(r"#SemST\b", re.IGNORECASE)
_TABBED = (".txt", ".tsv", ".tab")
_WORDS = {"train": ("train", "trial"), "test": ("test",)}
"""By which words in their names the files of a release are told apart; the trial tweets belong to the training data."""
_COLUMNS = ColumnOptions(text="text", text_pair="target", label="label")
_TASK = "task"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StanceSource(TweetOptions, DomainSource):
    """Stance towards targets in the format of SemEval-2016 Task 6; every target is a task, a text's pair its target.

    `path` is one table (tab separated, or any other format of tables) or the folder of the unpacked release, in which
    files with "train" or "trial" in their name are for training and those with "test" for test. FAVOR, AGAINST and NONE
    become favor, against and none, in this order. A target without training texts, such as Donald Trump in subtask B,
    is no task of the folder; give its own file as `path`, from which all three splits are then made.
    """

    kind = "stance"
    metric: ClassVar[str] = METRIC

    name: str = option("stance", "name of the stream")
    path: str | None = option(None, "file with the tweets, or folder of the unpacked release")
    text: str = option("Tweet", "column with the text")
    target: str = option("Target", "column with the target")
    label: str = option("Stance", "column with the stance")
    identity: str = option("ID", "column that numbers the tweets, by which a copy counts once; it may be missing")
    labels: Mapping[str, str] | None = option(
        None, "mapping from the labels in the files to favor, against and none, where they are called otherwise"
    )
    unlabelled: Literal["refuse", "skip"] = option(
        "refuse", "what to do with a row without a stance (?, UNKNOWN), as in test data without gold labels"
    )
    encoding: str = option(
        "auto", "character encoding of text files; auto: UTF-8 where the bytes are that, else windows-1252"
    )
    remove_marker: bool = option(True, "take out the hashtag #SemST, which every tweet of the release bears")
    remove_urls: bool = option(False, "take web addresses and the placeholder URL out of the texts")
    remove_mentions: bool = option(False, "take @names out of the texts")

    @property
    def _label_names(self) -> LabelNames:
        return LabelNames(STANCES)

    def _clean(self, text: str) -> str:
        return super()._clean(_MARKER.sub(" ", text) if self.remove_marker else text)

    def _found(self) -> list[str]:
        return [name for name, splits in self._all[0].items() if splits["train"]]

    def _read(self) -> tuple[Splits, dict[str, Any]]:
        given: Splits = {}
        counts: Counter[str] = Counter()
        read: list[Table] = []
        for split, files in _files_of(required_path(self.path, self.name)).items():
            tables = [_read_file(file, self.encoding) for file in files]
            read += tables
            given[split] = []
            for table in self._selected(tables, counts):
                rows, left_out = read_rows(table, _COLUMNS, self._label_names, self.name, _TASK, self._clean)
                given[split] += rows
                counts += left_out
        untrained = {row.domain for rows in given.values() for row in rows} - {row.domain for row in given["train"]}
        info = {"files": [table.file for table in read], "reading": {**merged_notes(read), **counts}}
        return given, info | {"targets_without_training_texts": sorted(untrained)}

    def _selected(self, tables: Sequence[Table], counts: Counter[str]) -> list[Table]:
        """The rows to use, under the names that `_COLUMNS` has; counts those that are left out.

        The release has each test file twice, without and with its labels.
        """
        stances = [[self._stance(cell) for cell in table.column(self.label)] for table in tables]
        tweets = [self._tweets(table) for table in tables]
        labelled = {
            tweet
            for found, own in zip(stances, tweets, strict=True)
            for stance, tweet in zip(found, own, strict=True)
            if stance
        }
        seen: set[tuple[Any, ...]] = set()
        selected = []
        for table, found, own in zip(tables, stances, tweets, strict=True):
            kept = []
            for row, (stance, tweet) in enumerate(zip(found, own, strict=True)):
                if stance is None and tweet not in labelled and self.unlabelled == "refuse":
                    raise _without_stance(table, row)
                if stance is None or tweet in seen:
                    copy = stance is not None or tweet in labelled
                    counts["repeated_tweets" if copy else "rows_without_stance"] += 1
                    continue
                seen.add(tweet)
                kept.append(row)
            if kept:
                selected.append(self._named(table, found, kept))
        return selected

    def _stance(self, cell: Any) -> str | None:
        """The name of a stance, or None where the row has none. What is no stance is left to `LabelNames`."""
        found = (scalar_text(cell) or "").strip()
        if self.labels and found in self.labels:
            return self.labels[found]
        plain = found.casefold()
        return None if plain in _UNLABELLED else _SPELLINGS.get(plain, found)

    def _tweets(self, table: Table) -> list[tuple[Any, ...]]:
        """What makes a row the same as another: target and number of the tweet; its place where it has no number."""
        if self.identity not in table.columns:
            return [(table.file, line) for line in table.lines]
        return list(zip(table.column(self.target), table.column(self.identity), strict=True))

    def _named(self, table: Table, stances: Sequence[str | None], rows: Sequence[int]) -> Table:
        targets, texts = table.column(self.target), table.column(self.text)
        cells = [
            [texts[row] for row in rows],
            [targets[row] for row in rows],
            [task_name(scalar_text(targets[row]) or "") for row in rows],
            [stances[row] for row in rows],
        ]
        return Table(table.file, ("text", "target", _TASK, "label"), cells, [table.lines[row] for row in rows])


def task_name(target: str) -> str:
    """The name of a target's task: lower case with hyphens, easy to type.

    >>> task_name("Climate Change is a Real Concern")
    'climate-change-is-a-real-concern'
    """
    return re.sub(r"[\W_]+", "-", target.casefold()).strip("-")


def _files_of(path: Path) -> dict[str, list[Path]]:
    """The files of each split: one file is all for training, and the other splits are made from it."""
    if not path.is_dir():
        return {"train": [path]}
    names = sorted(entry.name for entry in path.iterdir() if entry.is_file() and _is_table(entry))
    found = {
        split: [path / name for name in names if any(word in name.lower() for word in words)]
        for split, words in _WORDS.items()
    }
    if not found["train"]:
        raise StreamError(
            f"{path} holds no file with train in its name; expected those of SemEval-2016 Task 6, such as "
            "semeval2016-task6-trainingdata.txt; unpack them there, or give one file as 'path'."
        )
    return {split: files for split, files in found.items() if files}


def _is_table(file: Path) -> bool:
    """Whether a file of the release holds tweets; those called ...-ids.txt hold their numbers at Twitter."""
    return not file.name.startswith(".") and "-ids." not in file.name and _suffix(file) in (*_TABBED, ".csv")


def _suffix(file: Path) -> str:
    return (file.with_suffix("") if file.suffix.lower() == ".gz" else file).suffix.lower()


def _read_file(file: Path, encoding: str) -> Table:
    if _suffix(file) in _TABBED:
        return _read_tabbed(file, encoding)
    return read_table(file, FileOptions(encoding=encoding))


def _read_tabbed(file: Path, encoding: str) -> Table:
    """A tab separated file whose tweets may hold carriage returns and quote characters that mean nothing.

    A row ends where it has as many fields as the header; a line that breaks off before goes on in the next one.
    """
    text, notes = read_text(file, encoding)
    lines = [(number, line) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1) if line.strip()]
    header = [name.strip() for name in lines[0][1].split("\t")]
    rows: list[list[str]] = []
    starts: list[int] = []
    row: list[str] = []
    broken = 0
    for number, line in lines[1:]:
        fields = line.split("\t")
        if row:
            row = [*row[:-1], f"{row[-1]} {fields[0]}", *fields[1:]]
            broken += 1
        else:
            row = fields
            starts.append(number)
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
        if len(row) > len(header):
            raise _misfit(file, starts[-1], header, row)
        if len(row) == len(header):
            rows.append(row)
            row = []
    if row:
        raise _misfit(file, starts[-1], header, row)
    if not rows:
        raise StreamError(f"{file} has no rows; expected a header such as ID, Target, Tweet, Stance and rows below it.")
    if broken:
        notes = {**notes, "broken_lines_joined": broken}
    return Table(str(file), tuple(header), list(zip(*rows, strict=True)), starts, notes)


def _misfit(file: Path, line: int, header: Sequence[str], row: Sequence[str]) -> StreamError:
    return StreamError(
        f"{file}, line {line}: expected {len(header)} fields between tabs ({', '.join(header)}), found {len(row)}; "
        "repair the row."
    )


def _without_stance(table: Table, row: int) -> StreamError:
    return StreamError(
        f"{table.file}, line {table.lines[row]}: the row has no stance, so the file is test data without labels; put "
        "the file with the gold labels (...-gold.txt) in its place, or set unlabelled=skip."
    )
