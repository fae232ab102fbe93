"""Who takes part, on which streams, with which budget, and what was searched for each."""

from dataclasses import dataclass

SEEDS = (0, 1, 2)

BUDGET = (
    *("training.epochs=5", "training.min_steps=80", "training.batch_size=8", "training.patience=0"),
    *("threads=1", "tracking.enabled=false"),
)
"""Steps of a training stage, the same for all; patience 0 lets nobody stop earlier."""

_CAPS = ("stream.max_train=128", "stream.max_dev=64", "stream.max_test=200", "backbone.max_length=32")
_FIVE_EVENTS = "stream.tasks=[charliehebdo,ferguson,germanwings-crash,ottawashooting,sydneysiege]"
STREAMS = {
    "pheme": (*_CAPS, _FIVE_EVENTS),
    "cl5": _CAPS,
    "fewshot16": (*_CAPS[2:], "stream.order=[dbpedia,amazon,yahoo,agnews]"),
}
"""The caps of each stream: of texts, and of tokens in a text."""

SEARCHED_ON = ("cl10", (*_CAPS, "stream.tasks=[sst2,qqp]", "stream.max_test=20"), 100)
"""Learning rates are chosen by the mean dev accuracy on these tasks, none of which is in the table."""

PLAIN = ("readout.layers=none", "readout.terms=0", "training.head_learning_rate=0.003")
"""Plain prompt tuning, the setting in which these methods were published: nothing but what the method trains and a
classifier on top of it."""

PROMPT_RATES = (0.003, 0.01, 0.03)
MODULE_RATES = (0.001, 0.003, 0.01)
FINE_TUNING_RATES = (5e-5, 1e-4, 3e-4)


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        settings: What is set for it.
        kind: `own` (something of its own for each task; texts are routed when the task is not told), `shared` (one
            model for all tasks, which is never told the task) or `bound` (all tasks at once).
        setting: Name of the setting that holds its learning rate; none where nothing is to be chosen.
        rates: The rates to choose from.
        streams: Where it takes part.
    """

    settings: tuple[str, ...]
    kind: str = "own"
    setting: str | None = "training.learning_rate"
    rates: tuple[float, ...] = PROMPT_RATES
    streams: tuple[str, ...] = tuple(STREAMS)


def _prompts(name: str, kind: str = "own", *more: str) -> Contestant:
    return Contestant((f"method={name}", *PLAIN, *more), kind)


def _module(name: str) -> Contestant:
    return Contestant(
        ("method=scratch", f"tuning={name}", *PLAIN), rates=(*MODULE_RATES, *PROMPT_RATES[2:]), streams=("fewshot16",)
    )


def _fine_tuned(name: str, kind: str = "shared") -> Contestant:
    return Contestant((f"method={name}",), kind, "method.learning_rate", FINE_TUNING_RATES)


def _default(name: str) -> Contestant:
    """With the ground, as `continual run` does it by default."""
    return Contestant((f"method={name}",), setting=None, rates=())


CONTESTANTS = {
    **{f"{name} + ground": _default(name) for name in ("scratch", "panda")},
    **{name: _prompts(name) for name in ("scratch", "spot", "panda", "vega", "attempt", "progressive", "cpt_rd")},
    **{name: _prompts(name, "shared") for name in ("l2p", "coda")},
    "olora": Contestant(("method=olora", "tuning=lora", *PLAIN), "shared", rates=MODULE_RATES),
    **{name: _fine_tuned(name) for name in ("naive", "ewc", "lwf", "replay", "agem", "osf", "cumulative")},
    "per_task": _fine_tuned("per_task", "own"),
    "joint": _fine_tuned("joint", "bound"),
    "linear_probe": Contestant(("method=linear_probe",), setting=None, rates=()),
    **{
        f"scratch, {name}": _module(name)
        for name in ("input", "late", "layer_norm", "prefix_layer_norm", "lora", "compacter", "compacter_pp")
    },
    "scratch, HyPe": Contestant(
        ("method=scratch", *PLAIN, "training.hype=normal", "training.hype_scale=0.001"), streams=("fewshot16",)
    ),
}
"""All rows. `tapd` is missing because it needs a target for each text. Replay and A-GEM keep 50 texts of each task."""
