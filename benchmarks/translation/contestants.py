"""What is searched for each contestant, and on which texts."""

from pathlib import Path

from benchmarks.search import Knob

SEARCHED_ON = ("captions_multi30k", "game_wesnoth")
"""Two domains of the table, of whose texts the search sees the training file alone: dev and test are taken from that.

Domains that the model was pretrained on would not do, since nothing new is to be learned there."""

SEARCH_SEED = 100
"""Of the search; the runs of the table have the numbers of their orders."""

SEARCHABLE = ("mt6", "mt_small")
"""Experiments that have these domains."""

_PROMPT_RATE = Knob("training.learning_rate", (0.002, 0.005, 0.01), (0.001, 5e-4), (0.02, 0.05))
_BODY_RATE = Knob("method.learning_rate", (1e-4, 3e-4, 1e-3), (3e-5, 1e-5), (3e-3,))
_AGAINST_FORGETTING = {"ewc": Knob("method.ewc_lambda", (1e3, 1e5, 1e7), (1e1,), (1e9, 1e11), start=1e3)}
_WHOLE = ("naive", "cumulative", "joint", "ewc", "replay", "per_task")


def knobs_of(method: str) -> tuple[Knob, ...]:
    """The settings of a method that are searched, one after the other."""
    if method not in _WHOLE:
        return (_PROMPT_RATE,)
    more = (_AGAINST_FORGETTING[method],) if method in _AGAINST_FORGETTING else ()
    return (_BODY_RATE, *more)


def training_files(data: Path, folder: Path) -> Path:
    """A folder of the searched domains that holds links to their training files and nothing else."""
    for domain in SEARCHED_ON:
        for path in (data / domain).glob("train.*"):
            link = folder / domain / path.name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(path.absolute())
    return folder
