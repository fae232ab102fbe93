"""Choosing sources among a thousand prompts, against a full forward of the probe texts under each.

The pool holds a thousand variants of the prompts of twelve simulated tasks, which were really learned (without a
ground, which would leave little to them); the targets are tasks that are not in it. The truth is found without anything
that was stored or kept: the probe texts go through the whole network under every source, and the metric compares what
comes out. Against that stand two ways to choose from stored signatures: ranking the whole pool, and what a run does,
which ranks only the prompts that FAISS recalls by the keys of the texts.
"""

import sys
import tempfile
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.measure import Row, Spread, seconds_of
from benchmarks.speed import material
from benchmarks.speed.variants import variants
from continual import Learner, LearnerSettings
from continual.backbone.readout import Readout
from continual.backbone.states import CHUNK, ComputedStates
from continual.backbone.texts import by_length
from continual.methods.base import Lesson
from continual.pool import PromptPool
from continual.seeding import seed_of
from continual.settings import RECALLED, TransferConfig
from continual.training.config import TrainingConfig
from continual.transfer.metrics import Signature
from continual.transfer.probe import PROBE_TEXTS
from continual.transfer.ranking import Ranked, rank
from continual.tuning import build_tuning
from continual.tuning.base import Tensors, final_states, trained_tensors
from streams import SimulatedSource
from streams.task import Task

PROMPTS, TURNS, BEST = 1000, 5, 5
RECALLS = (8, RECALLED, 128)
"""Values of `transfer.recall` below the whole pool."""

_TARGETS = (
    {"name": "depot", "topic": "station", "cues": {"speed": 0.8, "age": 0.6}},
    {"name": "pantry", "topic": "kitchen", "cues": {"temperature": 0.7, "moisture": 0.7}},
    {"name": "concert", "topic": "theatre", "cues": {"sound": 0.8, "light": 0.6}},
    {"name": "library", "topic": "school", "cues": {"difficulty": 0.8, "size": 0.6}},
)


@dataclass(frozen=True)
class Target:
    """A new task, as it stands when its sources are chosen.

    Attributes:
        task: The task.
        lesson: What is known of it; without sources.
        signature: Of its first prompt.
    """

    task: Task
    lesson: Lesson
    signature: Signature


def rows(quick: bool = False) -> list[Row]:
    """Ranking the whole pool, and ranking what is recalled, in turns with a part of all forwards each."""
    texts, count = (40, 60) if quick else (100, PROMPTS)
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(f"{folder}/learned", material.encoder(), _settings())
        initial = _fill(learner, f"{folder}/pool", texts, count)
        targets = [_target(learner, task) for task in _tasks(_TARGETS[: 1 if quick else None], texts)]
        return _compare(f"{folder}/pool", initial, targets)


def _compare(folder: str, initial: Tensors, targets: list[Target]) -> list[Row]:
    """Times the two ways in turns with the forwards, and compares what they choose."""
    pool = PromptPool(folder, read_only=True)
    ids = pool.ids()
    recalls = (*RECALLS, len(ids))
    origin = _mean_state(initial)
    shifts: dict[str, Tensor] = {}
    seconds: dict[str, list[float]] = {"forwards": [], **{str(recall): [] for recall in recalls}}
    for turn in range(TURNS):
        part = ids[turn::TURNS]  # all forwards are done once: a fifth of them in each turn
        spent = seconds_of(lambda part=part: shifts.update({name: _shift(pool, name, origin) for name in part}))
        seconds["forwards"].append(spent * len(ids) / len(part))
        for recall in recalls:
            seconds[str(recall)].append(seconds_of(lambda recall=recall: _choose(folder, recall, targets[0])))
    spreads = {name: Spread.of(values) for name, values in seconds.items()}
    truth = [_by_forward(shifts, target) for target in targets]
    chosen = {recall: [_choose(folder, recall, target) for target in targets] for recall in recalls}
    found = [_found(recall, chosen[recall], truth, spreads[str(recall)]) for recall in recalls]
    details = {"targets": [target.task.name for target in targets], "forwards": spreads["forwards"].to_json()}
    return [
        _row("all ranked by their stored signatures, as a run does", len(ids), found[-1], spreads, details),
        _row(
            f"{RECALLED} recalled by their keys and ranked, as a run does in larger pools",
            len(ids),
            found[recalls.index(RECALLED)],
            spreads,
            details | {"recalls": found},
        ),
    ]


def _row(what: str, count: int, found: dict, spreads: dict[str, Spread], details: dict) -> Row:
    ratio = spreads["forwards"].over(spreads[str(found["recall"])])
    same = ", ".join(map(str, found["same"]))
    return Row.of(
        ratio,
        f"choosing sources among {count:,} prompts: {what} (of the best 5, found for each target: {same})",
        "one full forward of the probe texts under each source",
        "at least 10 times faster, at least 4 of the same top 5",
        ratio.median >= 10 and min(found["same"]) >= 4,
        limits="reading and checking the tensors of each prompt that is ranked",
        details=details | found,
    )


def _found(recall: int, chosen: list[list[Ranked]], truth: list[dict[str, float]], seconds: Spread) -> dict:
    """What was chosen, compared with the truth: how many of the best, and how good the first is."""
    same, first, best = [], [], []
    for ranked, scores in zip(chosen, truth, strict=True):
        top = sorted(scores, key=scores.get, reverse=True)[:BEST]
        same.append(len({item.prompt for item in ranked[:BEST]} & {*top}))
        first.append(scores[ranked[0].prompt])
        best.append(scores[top[0]])
    return {"recall": recall, "same": same, "score of the first": first, "best score": best} | {
        "seconds": seconds.to_json()
    }


def _choose(folder: str, recall: int, target: Target) -> list[Ranked]:
    """The sources that a learner chooses from the pool in `folder`, which is opened anew: nothing is in memory yet."""
    pool = PromptPool(folder, read_only=True)
    learner = Learner(pool, material.encoder(), _settings(recall))
    before = target.lesson
    hits = learner.lessons.recall(before.keys)
    lesson = learner.lessons.lesson(target.task, before.train, before.dev, before.keys, hits)
    pairs = ((source.prompt, source.signature) for source in lesson.sources)
    return rank(pairs, target.signature, learner.settings.transfer.metric)


def _by_forward(shifts: dict[str, Tensor], target: Target) -> dict[str, float]:
    """The score of every source: the cosine of what both prompts do to the probe texts (the metric `panda`)."""
    return {
        name: float(torch.nn.functional.cosine_similarity(shift, target.signature.shift, dim=0))
        for name, shift in shifts.items()
    }


def _shift(pool: PromptPool, prompt: str, origin: Tensor) -> Tensor:
    return _mean_state(trained_tensors(pool.get(prompt).tensors)) - origin


@torch.no_grad()
def _mean_state(tensors: Tensors) -> Tensor:
    """Mean last state of the probe texts under a prompt, [width], by a pass through the whole network."""
    encoder = material.encoder()
    texts, tuning = encoder.tokenize(PROBE_TEXTS), build_tuning(_settings().tuning)
    source, total = ComputedStates(encoder, texts, tuning.entry(encoder)), torch.zeros(encoder.width)
    for rows in by_length(source.lengths, CHUNK):
        hidden, mask = source.batch(rows)
        total += encoder.pool(final_states(tuning, encoder, hidden, mask, tensors), mask).sum(0)
    return total / len(texts)


def _fill(learner: Learner, folder: str, texts: int, count: int) -> Tensors:
    """Learns the tasks of the stream `simulated` and fills a pool with variants of their prompts.

    Returns:
        The tensors that all of them started from.
    """
    stream = material.stream("simulated", train=texts, dev=texts // 2, test=2)
    learned = [learner.pool.get(learner.learn(stream.task(name)).id) for name in stream.names]
    generator = torch.Generator().manual_seed(seed_of(learner.settings.seed, "initial prompt"))
    initial = learner.tuning.initial(learner.encoder, None, generator)
    idle = [prompt.id for prompt in learned if torch.equal(prompt.tensors["tuning.prefix"], initial["prefix"])]
    if idle:
        sys.exit(f"The prompts {', '.join(idle)} have learned nothing, so nothing could be derived from them.")
    pool = PromptPool(folder, learner.encoder.fingerprint)
    for prompt in variants(learned, count, initial, prober=learner.lessons.prober):
        pool.add(prompt)
    return initial


def _tasks(specs: tuple, texts: int) -> list[Task]:
    source = SimulatedSource(tasks=specs, train=texts, dev=texts // 2, test=2)
    return [source.load(name) for name in source.task_names]


def _target(learner: Learner, task: Task) -> Target:
    """Learns a first prompt of a task, as methods do before they rank, and stores nothing."""
    train, dev = learner.lessons.material(task)
    ground = learner.lessons.ground(task, train, dev)
    lesson = learner.lessons.lesson(task, ground.train, ground.dev, learner.lessons.keys(train), [])
    return Target(task, lesson, lesson.signature(lesson.fit("probe", lesson.fresh())))


def _settings(recall: int = 0) -> LearnerSettings:
    training = TrainingConfig(min_steps=0)
    transfer, alone = TransferConfig(recall=recall), Readout("none", terms=0)
    return LearnerSettings(method={"name": "scratch"}, readout=alone, training=training, transfer=transfer)
