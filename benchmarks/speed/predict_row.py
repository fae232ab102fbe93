"""Prediction: against plain `transformers`, with a different prompt for each text, in int8, and with routing."""

import tempfile
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Row, alternately
from benchmarks.shares import sentence, shares
from benchmarks.speed import material
from benchmarks.speed.variants import variants
from continual import Learner, LearnerSettings
from continual.backbone.frozen import freeze
from continual.backbone.states import CHUNK
from continual.learner import Prediction
from continual.pool import PromptPool
from continual.seeding import seed_of
from continual.training.config import TrainingConfig
from streams.task import Task

TEXTS, BATCH = 512, 64


def rows(quick: bool = False) -> list[Row]:
    """All rows on the same texts and the same pool."""
    count, repeats = (128, 1) if quick else (TEXTS, 5)
    settings = LearnerSettings(method={"name": "scratch"}, training=TrainingConfig(epochs=1, min_steps=0))
    limits = {"max_train": 100, "max_dev": 50, "max_test": 30} if quick else {}
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(f"{folder}/pool", material.encoder(), settings)
        stream = material.stream("pheme", **limits)
        for name in stream.names[:2] if quick else stream.names:
            learner.learn(stream.task(name))
        rounded = Learner(learner.pool, material.encoder().quantized(), settings)
        tests = [stream.task(name) for name in learner.pool.tasks()]
        return [
            _mixed(learner, f"{folder}/many", count, repeats),
            *_throughput(learner, rounded, material.texts(count), repeats),
            *_cost(learner, rounded, tests),
            _routing(learner, material.texts(count), repeats),
        ]


def _mixed(learner: Learner, folder: str, count: int, repeats: int) -> Row:
    """Batches in which each text has a prompt of its own against the same batches with one prompt."""
    pool = PromptPool(folder, learner.encoder.fingerprint)
    learned = [learner.pool.get(name) for name in learner.pool.ids()]
    generator = torch.Generator().manual_seed(seed_of(learner.settings.seed, "initial prompt"))
    for prompt in variants(learned, CHUNK, learner.tuning.initial(learner.encoder, None, generator)):
        pool.add(prompt)
    texts = learner.encoder.tokenize(material.texts(count))
    view = learner.views.of(texts)
    # Batches are made by length, so that prompts are dealt out in that order: no batch has one twice.
    order, ids = torch.argsort(texts.ids.lengths, stable=True).tolist(), pool.ids()
    one, mixed = [ids[0]] * count, [""] * count
    for place, row in enumerate(order):
        mixed[row] = ids[place % CHUNK]
    predictor, rows = Learner(pool, learner.encoder, learner.settings).predictor, range(count)
    # A throughput that only counts the prompted layers: the frozen pass is the same for both and was done before.
    found = alternately(
        {"one": lambda: predictor.logits(view, rows, one), "mixed": lambda: predictor.logits(view, rows, mixed)},
        repeats,
    )
    ratio = found["one"].over(found["mixed"])
    return Row.of(
        ratio,
        f"predicting batches in which each of {CHUNK} texts has a prompt of its own",
        "the same batches with one prompt",
        "at least 0.9 of the throughput",
        ratio.median >= 0.9,
        limits="stacking the prefixes of each batch, and one ground for each prompt",
        details={name: timing.to_json() for name, timing in found.items()} | {"prompts": len(ids), "texts": count},
    )


def _throughput(learner: Learner, rounded: Learner, texts: list[str], repeats: int) -> list[Row]:
    told = learner.pool.tasks()[0]
    bodies = {
        "transformers": lambda: plain_forward(texts),
        "continual": lambda: learner.predict(texts, task=told),
        "continual int8": lambda: rounded.predict(texts, task=told),
    }
    found = alternately(bodies, repeats)
    timings: dict[str, Any] = {key: timing.to_json() for key, timing in found.items()} | {"texts": len(texts)}
    rows = []
    for name in ("continual", "continual int8"):
        ratio, parts = found["transformers"].over(found[name]), shares(bodies[name])
        rows.append(
            Row.of(
                ratio,
                f"prediction throughput on the CPU: {name}",
                "plain transformers forward, fp32, padded batches in the order given",
                "at least 2 times",
                ratio.median >= 2,
                limits=sentence(parts),
                details=timings | {"texts a second": len(texts) / found[name].median, "shares": parts},
            )
        )
    return rows


@torch.no_grad()
def plain_forward(texts: list[str]) -> list[Any]:
    """What a user of transformers writes: tokenise, pad, forward, mean."""
    encoder, model, found = material.encoder(), material.plain_model(), []
    for start in range(0, len(texts), BATCH):
        batch = encoder.tokenizer(
            texts[start : start + BATCH], padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        found.append((hidden * mask).sum(1) / mask.sum(1))
    return found


def _cost(exact: Learner, rounded: Learner, tasks: list[Task]) -> list[Row]:
    """What int8 costs on the tests of all tasks, told and routed."""
    scores: dict[str, tuple[float, float]] = {}
    agreement: dict[str, float] = {}
    for way in ("told", "routed"):
        before, after = (_answers(learner, tasks, way == "told") for learner in (exact, rounded))
        truth = [task.labels[label] for task in tasks for label in task.test["label"]]
        scores[f"accuracy, task {way}"] = tuple(
            float(np.mean([item.label == label for item, label in zip(answers, truth, strict=True)]))
            for answers in (before, after)
        )
        agreement[way] = float(np.mean([one.label == two.label for one, two in zip(before, after, strict=True)]))
    # The answers of the last turn are the routed ones.
    scores["share of texts said to be of no known task"] = tuple(
        float(np.mean([not item.known for item in answers])) for answers in (before, after)
    )
    rows = [
        Row(
            f"cost of int8: {what}",
            f"{first:.4f} in float32",
            "",
            second,
            None,
            "",
            details={"float32": first, "int8": second},
            n=f"{len(truth)} texts",
        )
        for what, (first, second) in scores.items()
    ]
    for way, share in agreement.items():
        rows.append(
            Row(f"cost of int8: same label as in float32, task {way}", "", "", share, None, "", n=f"{len(truth)} texts")
        )
    return rows


def _answers(learner: Learner, tasks: list[Task], told: bool) -> list[Prediction]:
    return [
        answer
        for task in tasks
        for answer in learner.predict(list(task.test["text"]), task=task.name if told else None)
    ]


def _routing(learner: Learner, texts: list[str], repeats: int) -> Row:
    """What finding the prompt adds to the frozen pass that prediction needs anyway."""
    encoded = learner.encoder.tokenize(texts)
    view = learner.views.of(encoded)
    found = alternately(
        {
            "frozen pass": lambda: freeze(learner.encoder, encoded, learner.views.entry, learner.settings.readout),
            "routing": lambda: learner.directory.routes(view.profile),
        },
        repeats,
    )
    share = found["routing"].over(found["frozen pass"])
    return Row.of(
        share,
        "routing on top of the frozen pass that prediction shares with it",
        "one forward of the frozen model",
        "at most 1",
        share.median <= 1,
        "forwards",
        details={name: timing.to_json() for name, timing in found.items()},
    )
