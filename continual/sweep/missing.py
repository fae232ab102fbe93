"""Which cells of a sweep enter no comparison, so that what is not in a table is not taken for what was not asked."""

from pathlib import Path

from continual.sweep.process import ERROR
from continual.sweep.record import Cell, finished, is_sweep, read_record

_STATES = {
    "failed": f"failed and {{enter}} no mean; {ERROR} in {{its}} folder says why",
    "begun": "{is} not finished and {enter} no mean",
    "open": "{is} not started and {enter} no mean",
}
_MOST = 4
"""Cells that are named in a note."""


def missing_cells(folder: Path) -> list[str]:
    """Sentences about cells that are not finished, one for each method and state; none for a folder that is a run.

    Of a cell that has not failed and has a summary, `compare` itself says that it is not finished.

    Raises:
        RunError: `sweep.json` cannot be understood.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for cell in read_record(folder).cells if is_sweep(folder) else ():
        state = None if finished(folder / cell.name) else _state(folder / cell.name)
        if state is not None:
            found.setdefault((state, _method(cell)), []).append(cell.name)
    return [_sentence(folder, state, names) for (state, _), names in found.items()]


def _state(run: Path) -> str | None:
    if (run / ERROR).is_file():
        return "failed"
    if (run / "summary.json").is_file():
        return None
    return "begun" if (run / "state.json").is_file() else "open"


def _method(cell: Cell) -> str:
    return cell.settings.get("method", "")


def _sentence(folder: Path, state: str, names: list[str]) -> str:
    many = len(names) > 1
    words = {"is": "are", "enter": "enter", "its": "each"} if many else {"is": "is", "enter": "enters", "its": "its"}
    told = "; ".join(names[:_MOST]) + (f"; and {len(names) - _MOST} more" if len(names) > _MOST else "")
    of_what = f"{len(names)} cells of {folder} ({told})" if many else f"The cell {told} of {folder}"
    return f"{of_what} {_STATES[state].format(**words)}."
