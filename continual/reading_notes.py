"""What became of a task's data while they were read, in words: left out, repaired, repeated, cut."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone.text_to_text import TextToText
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION
from continual.views import texts_of
from streams.rows import in_words

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from streams import Task

REPLACED = "undecodable_bytes_replaced"
"""The count, among those of reading, that means text was lost."""

_LEARNED_FROM = ("train", "dev")

_OF_TASK = ("repeated_rows", "texts_with_conflicting_labels", "repeated_sources", "repeated_targets")


def reading_counts(task: "Task", encoder: "Encoder | None") -> dict[str, Any]:
    """What is counted of a task, plain values.

    Args:
        task: The task.
        encoder: Who reads its texts; None leaves out how many it cuts.

    Returns:
        `reading`, of the files, which may hold other tasks too; `task`, of this task alone; `dropped`, by the filters
        of translations, if it has such; `cut`, how many texts of a classification have more than `max_length` tokens,
        or how many pairs to learn from have a longer source, or a target of more than `max_target`.
    """
    splits = task.info.get("splits")
    overlaps = splits.get("overlapping_rows_dropped", 0) if isinstance(splits, Mapping) else 0
    own = {key: task.info[key] for key in _OF_TASK if task.info.get(key)}
    found: dict[str, Any] = {
        "reading": {key: value for key, value in task.info.get("reading", {}).items() if _is_count(value)},
        "task": own,
    }
    if overlaps:
        found["reading"]["overlapping_rows_dropped"] = overlaps
    if "dropped" in task.info:
        found["dropped"] = dict(task.info["dropped"])
    if encoder is not None and task.kind == CLASSIFICATION:
        found |= {"cut": cut_texts(task, encoder), "max_length": encoder.max_length}
    elif isinstance(encoder, TextToText) and task.kind == TRANSLATION:
        found |= {"cut": cut_pairs(task, encoder), "max_length": encoder.max_length}
        found |= {"max_target": encoder.max_target}
    return found


def reading_notes(task: "Task", counts: Mapping[str, Any]) -> list[str]:
    """The same in sentences; nothing where nothing was done."""
    files = list(task.info.get("files", []))
    where = ", ".join(Path(file).name for file in files[:3]) + (" and more" if len(files) > 3 else "")
    notes = [f"Reading {where or task.name}: {in_words(counts['reading'])}."] if counts["reading"] else []
    if counts["reading"].get(REPLACED):
        notes[-1] = f"{notes[-1][:-1]}; name the right stream.encoding, such as windows-1252."
    own = dict(counts["task"])
    dropped = {key: count for key, count in counts.get("dropped", {}).items() if count}
    if own:
        notes.append(f"Task {task.name}: {in_words(own)}.")
    if dropped:
        notes.append(f"Task {task.name}: pairs left out by filters, {in_words(dropped)}.")
    if counts.get("cut") and task.kind == TRANSLATION:
        total = sum(len(task.split(split)) for split in _LEARNED_FROM)
        notes.append(
            f"Task {task.name}: {counts['cut']} of {total} pairs to learn from are cut, sources at "
            f"{counts['max_length']} tokens (backbone.max_length) and targets at {counts['max_target']} "
            "(backbone.max_target)."
        )
    elif counts.get("cut"):
        total = sum(len(task.split(split)) for split in ("train", "dev", "test"))
        notes.append(
            f"Task {task.name}: {counts['cut']} of {total} texts are cut at {counts['max_length']} tokens "
            "(backbone.max_length)."
        )
    return notes


def cut_texts(task: "Task", encoder: "Encoder") -> int:
    """How many texts of a classification are longer than the backbone reads."""
    return sum(_cut_in(task.split(split), encoder) for split in ("train", "dev", "test"))


def cut_pairs(task: "Task", backbone: TextToText) -> int:
    """How many pairs to learn from are longer than the backbone reads or writes; test is translated whole."""
    found = 0
    for split in map(task.split, _LEARNED_FROM):
        sources, targets = split["text"][:], split["target"][:]
        full = backbone.tokenize(sources).ids.lengths >= backbone.max_length
        full |= backbone.tokenize_targets(targets).lengths >= backbone.max_target
        rows = full.nonzero().flatten().tolist()
        found += sum(not (backbone.fits(sources[row]) and backbone.fits_target(targets[row])) for row in rows)
    return found


def _cut_in(split: Any, encoder: "Encoder") -> int:
    """Of the texts that fill what is read, those that have another token; the others need no second look."""
    full = (texts_of(split, encoder).ids.lengths >= encoder.max_length).nonzero().flatten().tolist()
    rows = split[full]
    pairs = rows.get("text_pair") or [None] * len(full)
    return sum(encoder.exceeds(text, pair) for text, pair in zip(rows["text"], pairs, strict=True))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
