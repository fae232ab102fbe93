"""Bytes that a task leaves behind, measured on one that was learned."""

import tempfile

from benchmarks.speed import material
from continual.backbone.readout import Readout

READOUTS = {"default": Readout(), "small": Readout(layers="last", terms=2048)}
"""The ground is most of a prompt, and the readout decides its size."""

EVENT = "charliehebdo"


def sizes(epochs: int) -> dict[str, dict[str, int]]:
    """For each readout the bytes of each part of the prompt, and of all as its files take them."""
    return {name: _of(readout, epochs) for name, readout in READOUTS.items()}


def _of(readout: Readout, epochs: int) -> dict[str, int]:
    from continual import Learner, LearnerSettings
    from continual.training.config import TrainingConfig

    training = TrainingConfig(epochs=epochs, min_steps=0)
    settings = LearnerSettings(method={"name": "scratch"}, readout=readout, training=training)
    with tempfile.TemporaryDirectory() as folder:
        learner = Learner(f"{folder}/pool", material.encoder(), settings)
        learner.learn(material.task("pheme", EVENT))
        (prompt_id,) = learner.pool.ids()
        tensors = learner.pool.get(prompt_id).tensors
        files = {file.name: file.stat().st_size for file in learner.pool.folder(prompt_id).iterdir()}
    groups: dict[str, int] = {}
    for name, value in tensors.items():
        group = name.split(".")[0]
        groups[group] = groups.get(group, 0) + value.numel() * value.element_size()
    return dict(sorted(groups.items())) | {"prompt.json": files["prompt.json"], "files": sum(files.values())}
