"""Public rumour releases in their own layouts: PHEME, Twitter15/16 and CoAID.

Each is read either as one table (how such data are usually passed on) or as the folders that were published;
which of the two is found out by looking at `path`.

Papers:
    PHEME: Zubiaga, Liakata, Procter, "Learning Reporting Dynamics during Breaking News for Rumour Detection
        in Social Media", 2016; Kochkina, Liakata, Zubiaga, "All-in-one: Multi-task Learning for Rumour
        Verification", COLING 2018.
    Twitter15/16: Ma, Gao, Wong, "Detect Rumors in Microblog Posts Using Propagation Structure via Kernel
        Learning", ACL 2017.
    CoAID: Cui, Lee, "CoAID: COVID-19 Healthcare Misinformation Dataset", 2020.
"""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from streams.errors import StreamError
from streams.folders import FoldersSource
from streams.options import option
from streams.reading import Table, merged_notes, read_table, read_text
from streams.rows import ColumnOptions, LabelNames, Splits, read_rows
from streams.source import DomainSource, required_path

_URL = re.compile(r"https?://\S+|www\.\S+|\bURL\b")
_MENTION = re.compile(r"(?<!\w)@\w+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TweetOptions:
    """What is taken out of a tweet before anything else."""

    remove_urls: bool = option(True, "take web addresses and the placeholder URL out of the texts")
    remove_mentions: bool = option(True, "take @names out of the texts")

    def _clean(self, text: str) -> str:
        """The text with HTML entities resolved, without what the options remove, on one line."""
        text = html.unescape(text)
        if self.remove_urls:
            text = _URL.sub(" ", text)
        if self.remove_mentions:
            text = _MENTION.sub(" ", text)
        return " ".join(text.split())


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhemeSource(TweetOptions, DomainSource):
    """PHEME: source tweets of nine breaking news events; each event is a task, rumour or non-rumour.

    `path` is a table with the columns event, rumour (0 or 1) and text, or the unpacked release: a folder with
    `<event>-all-rnr-threads/{rumours,non-rumours}/<thread>/source-tweets/<thread>.json` (2018, figshare
    6392078) or `<event>/{rumours,non-rumours}/<thread>/source-tweet/<thread>.json` (2016, figshare 4010619),
    or its parent. URLs and mentions go by default, since their mere presence gives the label away in parts of
    the collection.
    """

    kind = "pheme"

    name: str = option("pheme", "name of the stream")
    path: str | None = option(None, "table of tweets, or folder of the unpacked release")
    labels: Mapping[str, str] | tuple[str, ...] | None = option(
        None, "mapping from 0 and 1 to label names; by default non-rumour and rumour"
    )

    @property
    def _label_names(self) -> LabelNames:
        return LabelNames(self.labels or {"0": "non-rumour", "1": "rumour"})

    def _read(self) -> tuple[Splits, dict[str, Any]]:
        path = required_path(self.path, self.name)
        table = _read_threads(path) if path.is_dir() else read_table(path)
        columns = ColumnOptions(text="text", label="rumour")
        rows, counts = read_rows(table, columns, self._label_names, self.name, "event", self._clean)
        return {"train": rows}, {"files": [table.file], "reading": {**table.notes, **counts}}


_PHEME_LABELS = {"rumours": "1", "non-rumours": "0"}


def _read_threads(root: Path) -> Table:
    """The source tweets of the published folders as one table, in order of event and thread."""
    events = [folder for folder in _folders(root) if _is_event(folder)]
    events = events or [folder for parent in _folders(root) for folder in _folders(parent) if _is_event(folder)]
    if not events:
        raise StreamError(f"{root} holds no event with the folders rumours and non-rumours; unpack PHEME there.")
    cells: list[tuple[str, str, str]] = []
    for event in events:
        for folder, label in _PHEME_LABELS.items():
            for thread in _folders(event / folder):
                cells.append((event.name.removesuffix("-all-rnr-threads"), label, _source_tweet(thread)))
    if not cells:
        raise StreamError(f"{root} has events but no thread in any; unpack PHEME there again.")
    return Table(str(root), ("event", "rumour", "text"), list(zip(*cells, strict=True)), range(1, len(cells) + 1))


def _folders(parent: Path) -> list[Path]:
    # The archive was packed on a Mac: every entry has a ._ shadow that holds no data.
    if not parent.is_dir():
        return []
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_event(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in _PHEME_LABELS)


def _source_tweet(thread: Path) -> str:
    files = [thread / folder / f"{thread.name}.json" for folder in ("source-tweets", "source-tweet")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise StreamError(f"The thread {thread} lacks its source tweet; expected the file {files[0]}.")
    try:
        text = json.loads(file.read_bytes())["text"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StreamError(f"{file} is not a tweet in JSON with a text; unpack the release again.") from error
    return text


TWITTER_LABELS = ("non-rumor", "true", "false", "unverified")
"""Classes of Twitter15 and Twitter16 in the order of the paper."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwitterSource(TweetOptions, FoldersSource):
    """Twitter15 and Twitter16: source tweets with four classes; each collection is a task.

    `path` holds the folders twitter15 and twitter16, each with either the published files `source_tweets.txt`
    (`id<TAB>text`) and `label.txt` (`label:id`), or train, dev and test tables with the columns text and
    label. Texts are kept as published, with their URL placeholder, unless the options say otherwise.
    """

    kind = "twitter"

    name: str = option("twitter1516", "name of the stream")
    path: str | None = option(None, "folder that holds twitter15 and twitter16")
    labels: Mapping[str, str] | tuple[str, ...] | None = option(TWITTER_LABELS, "label names in order")
    remove_urls: bool = option(False, "take web addresses and the placeholder URL out of the texts")
    remove_mentions: bool = option(False, "take @names out of the texts")

    def _files(self, task_name: str) -> dict[str, Path]:
        published = self._root() / task_name / _TWEETS
        return {"train": published} if published.is_file() else super()._files(task_name)

    def _table(self, file: Path) -> Table:
        return _read_tweets(file, self.encoding) if file.name == _TWEETS else super()._table(file)


_TWEETS = "source_tweets.txt"


def _read_tweets(file: Path, encoding: str) -> Table:
    """Joins the published texts with their labels. A tweet without a label is left out later, and counted."""
    text, notes = read_text(file, encoding)
    labels = _read_tweet_labels(file.with_name("label.txt"), encoding)
    texts, names, lines = [], [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        identity, tab, tweet = line.partition("\t")
        if not tab:
            raise StreamError(f"{file}, line {number}: expected a tweet id, a tab and the text; repair the line.")
        texts.append(tweet)
        names.append(labels.get(identity.strip()))
        lines.append(number)
    return Table(str(file), ("text", "label"), [texts, names], lines, notes)


def _read_tweet_labels(file: Path, encoding: str) -> dict[str, str]:
    labels = {}
    for number, line in enumerate(read_text(file, encoding)[0].split("\n"), 1):
        label, colon, identity = line.strip().partition(":")
        if line.strip() and not colon:
            raise StreamError(f"{file}, line {number}: expected a label, a colon and a tweet id; repair the line.")
        labels[identity.strip()] = label.strip()
    return labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoaidSource(DomainSource):
    """CoAID: fake and real headlines and claims about COVID-19; each time slice is a task. Very unbalanced.

    `path` is a table with the columns slice, kind (news or claim), text and label (fake or real), or the
    published folders `<date>/{News,Claim}{Fake,Real}COVID-19.csv`, of which the column title is read.
    """

    kind = "coaid"

    name: str = option("coaid", "name of the stream")
    path: str | None = option(None, "table, or folder that holds the dated folders")
    labels: Mapping[str, str] | tuple[str, ...] | None = option(("real", "fake"), "label names in order")
    documents: tuple[Literal["news", "claim"], ...] = option(("news", "claim"), "the kinds of text to use")

    def _read(self) -> tuple[Splits, dict[str, Any]]:
        path = required_path(self.path, self.name)
        tables = _read_slices(path) if path.is_dir() else [read_table(path)]
        columns = ColumnOptions(where={"kind": self.documents})
        tables = [table for table in tables if set(self.documents) & set(table.column("kind"))]
        if not tables:
            raise StreamError(f"{path} holds no text of the kind {' or '.join(self.documents)}; change 'documents'.")
        rows, counts = [], Counter()
        for table in tables:
            found, left_out = read_rows(table, columns, self._label_names, self.name, "slice")
            rows += found
            counts += left_out
        files = [table.file for table in tables]
        return {"train": rows}, {"files": files, "reading": {**merged_notes(tables), **counts}}


def _read_slices(root: Path) -> list[Table]:
    """One table for each published file, in order of date; the tweet ids beside them are not read."""
    tables = []
    for folder in _folders(root):
        for kind, label in itertools.product(("News", "Claim"), ("Fake", "Real")):
            file = folder / f"{kind}{label}COVID-19.csv"
            if file.is_file():
                table = read_table(file)
                titles = table.column("title")
                constants = [[value] * len(titles) for value in (folder.name, kind.lower(), label.lower())]
                cells = [*constants, titles]
                tables.append(Table(table.file, ("slice", "kind", "label", "text"), cells, table.lines, table.notes))
    if not tables:
        raise StreamError(f"{root} holds no folder with NewsFakeCOVID-19.csv or its siblings; unpack CoAID there.")
    return tables
