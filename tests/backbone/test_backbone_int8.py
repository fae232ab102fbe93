"""The int8 copy of a backbone: near the original, for prediction only."""

import pytest
import torch
from tiny_models import TEXTS, save_tiny

from continual import Learner, LearnerSettings
from continual.backbone.catalog import hub, minilm
from continual.backbone.frozen import freeze
from continual.backbone.readout import Readout
from continual.errors import BackboneError, LearningError
from streams import SimulatedSource, StreamManager


def test_it_is_near_the_original_and_takes_its_prompts():
    encoder = minilm()
    rounded = encoder.quantized()
    assert rounded.fingerprint == encoder.fingerprint
    assert (encoder.exact, rounded.exact) == (True, False)
    views = [freeze(one, one.tokenize(TEXTS), one.depth, Readout()) for one in (encoder, rounded)]
    assert not torch.equal(views[0].embedding, views[1].embedding)
    assert (views[0].embedding * views[1].embedding).sum(1).min() > 0.9


def test_nothing_is_learned_on_it(tmp_path, tiny_encoder):
    learner = Learner(
        tmp_path / "pool",
        tiny_encoder("bert").quantized(),
        LearnerSettings(tuning={"name": "late", "length": 2, "layer": 1}),
    )
    task = next(iter(StreamManager(SimulatedSource(train=8, dev=8, test=8))))
    with pytest.raises(LearningError, match="int8, which is for prediction only"):
        learner.learn(task)
    assert len(learner.pool) == 0


def test_a_backbone_on_disk_is_refused(tmp_path):
    with pytest.raises(BackboneError, match="partly on disk"):
        hub(str(save_tiny("bert", tmp_path)), memory_mb=0.001).quantized()
