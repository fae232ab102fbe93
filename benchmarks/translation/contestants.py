"""What is searched for each contestant, and on which texts."""

from benchmarks.search import Knob

SEARCHED_ON = ("stream.tasks=[software_ui,news_wmt21_22]", "stream.order=listed", "seed=100")
"""Two domains that are in no table; settings are chosen by BLEU on their tests after both were learned, the domain not
told, so that forgetting counts as it does in the table."""

SEARCHED_IN = "mt_small"
"""The experiment that they are searched with: 500 pairs of each domain."""

SEARCHABLE = ("mt6", "mt_small")
"""Experiments for which these are other domains of the same corpus."""

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
