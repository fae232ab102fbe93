"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], *below: str) -> str:
    """A table, and paragraphs below it.

    Args:
        heads: What stands above each column.
        rows: Their cells.
        below: Paragraphs.
    """
    lines = [_line(heads), f"|{'---|' * len(heads)}", *map(_line, rows)]
    return "\n\n".join(["\n".join(lines), *below])


def coded(words: Iterable[str]) -> list[str]:
    """Each word as code."""
    return [f"`{word}`" for word in words]


def counted(number: int, noun: str) -> str:
    """How many there are of something."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
