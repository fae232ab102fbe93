"""Who takes part, on which streams, with which budget, and what is searched for each."""

from dataclasses import dataclass

from benchmarks.search import Knob

SEEDS = (0, 1, 2)

BUDGET = (
    *("training.epochs=4", "training.min_steps=48", "training.batch_size=8", "training.patience=0"),
    *("threads=1", "tracking.enabled=false"),
)
"""Steps of a training stage, the same for all; patience 0 lets nobody stop earlier."""

_CAPS = ("stream.max_train=96", "stream.max_dev=48", "stream.max_test=120", "backbone.max_length=32")
_FIVE_EVENTS = "stream.tasks=[charliehebdo,ferguson,germanwings-crash,ottawashooting,sydneysiege]"
STREAMS = {
    "pheme": (*_CAPS, _FIVE_EVENTS),
    "cl5": _CAPS,
    "fewshot16": (*_CAPS[2:], "stream.order=[dbpedia,amazon,yahoo,agnews]"),
}
"""The caps of each stream: of texts, and of tokens in a text."""

SEARCHED_ON = ("cl10", (*_CAPS, "stream.tasks=[sst2,qqp]"), 100)
"""Settings are chosen by the accuracy on held-out texts of these two tasks in the end, the task not told, so that
forgetting counts as it does in the table. None of them is in the table."""

PLAIN = ("readout.layers=none", "readout.terms=0", "training.head_learning_rate=0.003")
"""Plain prompt tuning, the setting in which these methods were published: nothing but what the method trains and a
classifier on top of it."""


_PROMPT_RATE = Knob("training.learning_rate", (0.003, 0.01, 0.03), (0.001,), (0.1,))
_MODULE_RATE = Knob("training.learning_rate", (0.001, 0.003, 0.01), (0.0003,), (0.03, 0.1))
_BODY_RATE = Knob("method.learning_rate", (5e-5, 1e-4, 3e-4), (2e-5, 1e-5), (1e-3,))
_HEAD_RATE = Knob("method.head_learning_rate", (3e-4, 1e-3, 3e-3), (1e-4,), (1e-2,), start=1e-3)
_AGAINST_FORGETTING = {
    "ewc": Knob("method.ewc_lambda", (1e3, 1e5, 1e7, 1e9), (1e1,), (1e11, 1e13), start=1e3),
    "lwf": Knob("method.alpha", (0.3, 1.0, 3.0, 10.0, 30.0), (0.1,), (100.0,), start=1.0),
    "olora": Knob("method.orthogonality", (0.05, 0.5, 5.0), (0.005, 5e-4), (50.0,), start=0.5),
}
"""Weights of what some methods do against forgetting, searched after their rates. A wide range is tried from the start:
where a weight is far too small, all scores are those of forgetting, and the best of them says nothing."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        settings: What is set for it.
        kind: `own` (something of its own for each task; texts are routed when the task is not told), `shared` (one
            model for all tasks, which does not use the name of the task) or `bound` (all texts of all tasks are kept).
        knobs: What is searched, one after the other.
        streams: Where it takes part.
    """

    settings: tuple[str, ...]
    kind: str = "own"
    knobs: tuple[Knob, ...] = (_PROMPT_RATE,)
    streams: tuple[str, ...] = tuple(STREAMS)


def _prompts(name: str, kind: str = "own", *more: str) -> Contestant:
    return Contestant((f"method={name}", *PLAIN, *more), kind)


def _module(name: str) -> Contestant:
    return Contestant(("method=scratch", f"tuning={name}", *PLAIN), knobs=(_MODULE_RATE,), streams=("fewshot16",))


def _fine_tuned(name: str, kind: str = "shared") -> Contestant:
    more = (_AGAINST_FORGETTING[name],) if name in _AGAINST_FORGETTING else ()
    return Contestant((f"method={name}",), kind, (_BODY_RATE, _HEAD_RATE, *more))


def _ground(name: str) -> Contestant:
    """With the ground, as `continual run` does it by default; but dev only chooses, as it does for all others."""
    return Contestant((f"method={name}", "training.refit=false"), knobs=())


CONTESTANTS = {
    **{f"{name} + ground": _ground(name) for name in ("scratch", "panda")},
    **{name: _prompts(name) for name in ("scratch", "spot", "panda", "attempt", "progressive", "cpt_rd")},
    # Vega helps tasks from larger ones, and only these tasks differ in size.
    "vega": Contestant(("method=vega", *PLAIN), streams=("fewshot16",)),
    **{name: _prompts(name, "shared") for name in ("l2p", "coda")},
    "olora": Contestant(
        ("method=olora", "tuning=lora", *PLAIN), "shared", (_MODULE_RATE, _AGAINST_FORGETTING["olora"])
    ),
    **{name: _fine_tuned(name) for name in ("naive", "ewc", "lwf", "replay", "agem", "osf")},
    "cumulative": _fine_tuned("cumulative", "bound"),
    "per_task": _fine_tuned("per_task", "own"),
    "joint": _fine_tuned("joint", "bound"),
    "linear_probe": Contestant(("method=linear_probe",), knobs=()),
    **{
        f"scratch, {name}": _module(name)
        for name in ("input", "late", "layer_norm", "prefix_layer_norm", "lora", "compacter", "compacter_pp")
    },
    "scratch, HyPe": Contestant(
        ("method=scratch", *PLAIN, "training.hype=normal", "training.hype_scale=0.001"), streams=("fewshot16",)
    ),
}
"""All rows. `tapd` is missing because it needs a target for each text. Replay and A-GEM keep 50 texts of each task."""
