"""Prediction: against plain `transformers`, with a different prompt for each text, and with routing."""

import tempfile
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Row, alternately
from benchmarks.speed import material
from continual import Learner, LearnerSettings
from continual.backbone.frozen import freeze

TEXTS, BATCH, PROMPTS = 1024, 64, 8
QUICK = {"epochs": 1, "min_steps": 0}


def rows() -> list[Row]:
    """Three rows on the same texts and the same pool."""
    from continual.training.config import TrainingConfig

    settings = LearnerSettings(method={"name": "scratch"}, training=TrainingConfig(**QUICK))
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(f"{folder}/pool", material.encoder(), settings)
        stream = material.stream("pheme")
        for name in stream.names:
            learner.learn(stream.task(name))
        rounded = Learner(learner.pool, material.encoder().quantized(), settings)
        return [_mixed(learner), *_throughput(learner, rounded), _routing(learner)]


def _mixed(learner: Learner) -> Row:
    """One batch with another prompt for each text against the same batch with one prompt."""
    texts = learner.encoder.tokenize(material.texts(TEXTS))
    view = learner.view(texts)
    ids = learner.pool.ids()
    one, mixed = [ids[0]] * TEXTS, [ids[number % len(ids)] for number in range(TEXTS)]
    predictor, rows = learner.predictor, range(TEXTS)
    found = alternately(
        {"one": lambda: predictor.logits(view, rows, one), "mixed": lambda: predictor.logits(view, rows, mixed)}, 7
    )
    # A throughput that only counts the prompted layers: the frozen pass is the same for both and was done before.
    ratio = found["one"].median / found["mixed"].median
    return Row(
        what=f"predicting texts that use {len(ids)} different prompts",
        against="the same texts with one prompt",
        goal="at least 0.9 of the throughput",
        measured=ratio,
        met=ratio >= 0.9,
        limits="stacking the prefixes of each batch, and one ground for each prompt",
        details={name: vars(timing) for name, timing in found.items()},
    )


def _throughput(learner: Learner, rounded: Learner) -> list[Row]:
    texts = material.texts(TEXTS)
    told = learner.pool.tasks()[0]
    found = alternately(
        {
            "transformers": lambda: plain_forward(texts),
            "continual": lambda: learner.predict(texts, task=told),
            "continual int8": lambda: rounded.predict(texts, task=told),
        }
    )
    cost = _cost(rounded, learner)
    rows = []
    for name, limits in (
        ("continual", "the frozen pass: six layers once and two of them again under the prompt"),
        ("continual int8", "attention and layer norms, which stay in float32, and the tokenizer"),
    ):
        ratio = found["transformers"].median / found[name].median
        rows.append(
            Row(
                what=f"prediction throughput on the CPU: {name}",
                against="plain transformers forward, fp32, padded batches in the order given",
                goal="at least 2 times",
                measured=ratio,
                met=ratio >= 2,
                limits=limits,
                details={key: vars(timing) for key, timing in found.items()}
                | {"texts a second": TEXTS / found[name].median}
                | ({"accuracy": cost} if "int8" in name else {}),
            )
        )
    return rows


@torch.no_grad()
def plain_forward(texts: list[str]) -> list[Any]:
    """What a user of transformers writes: tokenise, pad, forward, mean."""
    encoder, found = material.encoder(), []
    for start in range(0, len(texts), BATCH):
        batch = encoder.tokenizer(
            texts[start : start + BATCH], padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        hidden = encoder.model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        found.append((hidden * mask).sum(1) / mask.sum(1))
    return found


def _cost(rounded: Learner, exact: Learner) -> dict[str, float]:
    """Accuracy on all tests in int8 and in float32, and how often they agree."""
    right: dict[str, list[bool]] = {"float32": [], "int8": []}
    agree: list[bool] = []
    stream = material.stream("pheme")
    for name in stream.names:
        test = stream.task(name).test
        truth = [stream.task(name).labels[label] for label in test["label"]]
        answers = {
            kind: [item.label for item in learner.predict(list(test["text"]), task=name)]
            for kind, learner in (("float32", exact), ("int8", rounded))
        }
        for kind, found in answers.items():
            right[kind] += [one == other for one, other in zip(found, truth, strict=True)]
        agree += [one == other for one, other in zip(answers["float32"], answers["int8"], strict=True)]
    return {kind: float(np.mean(values)) for kind, values in (*right.items(), ("agreement", agree))}


def _routing(learner: Learner) -> Row:
    """What finding the prompt adds to the frozen pass that prediction needs anyway."""
    texts = learner.encoder.tokenize(material.texts(TEXTS))
    view = learner.view(texts)
    found = alternately(
        {
            "frozen pass": lambda: freeze(learner.encoder, texts, learner.entry, learner.settings.readout),
            "routing": lambda: learner.routes(view.embedding),
        }
    )
    share = found["routing"].median / found["frozen pass"].median
    return Row(
        what="routing on top of the frozen pass that prediction shares with it",
        against="one forward of the frozen model",
        goal="at most 1",
        measured=share,
        met=share <= 1,
        unit="forwards",
        details={name: vars(timing) for name, timing in found.items()},
    )
