"""Imported by the server that forks workers: everything heavy that a pretraining needs."""

from continual._torchvision import declare_missing_operators

declare_missing_operators()

import transformers.models.marian.modeling_marian  # noqa: E402, F401
from transformers import AutoTokenizer, GenerationConfig  # noqa: E402, F401

import continual.pretraining.loop  # noqa: E402
import continual.pretraining.translation.objective  # noqa: E402, F401
