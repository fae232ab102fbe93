"""Choosing sources among a thousand prompts: from stored signatures, against a forward of the probe texts for each."""

import functools
import tempfile

import torch

from benchmarks.measure import Row, seconds_of, timed
from benchmarks.speed import material
from continual.pool import PromptPool
from continual.pool.prompt import Prompt
from continual.transfer.metrics import Signature, panda
from continual.transfer.signature import Prober, signature_tensors, stored_signature
from continual.tuning import build_tuning
from continual.tuning.base import TRAINED, Tuning, trained_tensors

PROMPTS, FORWARDS = 1000, 100


def rows() -> list[Row]:
    """One pool of a thousand prompts, each the initial one with noise of its own."""
    encoder = material.encoder()
    tuning = build_tuning({"name": "deep", "length": 16, "layer": 4})
    prober = Prober(encoder)
    generator = torch.Generator().manual_seed(0)
    noise = functools.partial(torch.randn, generator=generator)
    initial = tuning.initial(encoder, None, generator)
    with tempfile.TemporaryDirectory() as folder:
        pool = PromptPool(f"{folder}/pool", encoder.fingerprint)
        for number in range(PROMPTS):
            tensors = {name: value + 0.3 * noise(value.shape) for name, value in initial.items()}
            keys = torch.nn.functional.normalize(noise((8, encoder.width)), dim=1)
            signature = prober.signature(tuning, tensors, initial, keys)
            pool.add(_prompt(f"task-{number:04d}", encoder.fingerprint, tuning, tensors, keys, signature))
        target = _signature(tuning, pool.get(pool.ids()[0]))
        ids = pool.ids()[1:]

        def by_signature(count: int = 5) -> list[str]:
            scores = {name: panda(_signature(tuning, pool.get(name)), target) for name in ids}
            return sorted(scores, key=scores.get, reverse=True)[:count]

        def by_forward(names: list[str]) -> dict[str, float]:
            found = {}
            for name in names:
                stored = pool.get(name).tensors
                fresh = prober.signature(tuning, trained_tensors(stored), initial, stored["keys"])
                found[name] = panda(fresh, target)
            return found

        fast = timed(by_signature)
        # All thousand forwards take minutes: those of a random part and of the candidates decide.
        chosen = by_signature(20)
        some = [ids[place] for place in torch.randperm(len(ids), generator=generator)[:FORWARDS]]
        one = seconds_of(lambda: by_forward(some)) / FORWARDS
        scores = by_forward(list({*chosen, *some}))
        best = sorted(scores, key=scores.get, reverse=True)[:5]
        same = len({*best} & {*chosen[:5]})
    ratio = one * len(ids) / fast.median
    return [
        Row(
            what="choosing sources among 1,000 prompts for one task",
            against="one forward of the probe texts for each source",
            goal="at least 10 times faster, 4 of the same top 5",
            measured=ratio,
            met=ratio >= 10 and same >= 4,
            limits="reading and checking the tensors of each prompt",
            details={"stored": vars(fast), "one forward": one, "same of the top 5": same},
        )
    ]


def _signature(tuning: Tuning, prompt: Prompt) -> Signature:
    return stored_signature(tuning, trained_tensors(prompt.tensors), prompt.tensors)


def _prompt(task: str, backbone: str, tuning, tensors, keys, signature) -> Prompt:
    return Prompt(
        id=f"{task}-v1",
        task=task,
        version=1,
        labels=("no", "yes"),
        backbone=backbone,
        tuning=tuning.spec(),
        method="scratch",
        tensors={f"{TRAINED}{name}": value for name, value in tensors.items()}
        | {"keys": keys}
        | signature_tensors(signature),
        provenance={},
    )
