"""Fixtures for everything that needs a model: tiny random encoders of many families, and the embedded MiniLM."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.backbone.text_to_text import TextToText

# `benchmarks/` is no part of the package: where that is installed, tests find the programs in their own checkout. At
# the end, so that the installed package stays the one that is tested.
sys.path.append(str(Path(__file__).parents[1]))

# Processes side by side (`pytest -n`) take one processor each; read when torch is imported here and in what they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

TinyEncoder = Callable[..., "Encoder"]
TinyGenerator = Callable[[str], "TextToText"]

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def one_thread() -> Iterator[None]:
    """Runs torch on one thread: on tiny matrices a second one costs more than it brings."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Callable[[str], Path]:
    """Gives the folder of a tiny model of a family, made at first use."""
    from tiny_models import save_tiny

    root = tmp_path_factory.mktemp("tiny-models")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else save_tiny(family, path)

    return folder


@pytest.fixture(scope="session")
def tiny_encoder(tiny_folder: Callable[[str], Path]) -> TinyEncoder:
    """Gives the tiny encoder of a family (and pooling), loaded as a user's own model is; one object for all tests."""
    from continual.backbone.catalog import hub

    kept: dict[tuple[str, str], Encoder] = {}

    def encoder(family: str = "bert", pooling: str = "mean") -> "Encoder":
        key = (family, pooling)
        if key not in kept:
            kept[key] = hub(path=str(tiny_folder(family)), pooling=pooling, max_length=48)
        return kept[key]

    return encoder


@pytest.fixture(scope="session")
def tiny_generator_folder(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Callable[[str], Path]:
    """Gives the folder of a tiny generative model of a family, made at first use."""
    from tiny_generators import save_tiny_generator

    root = tmp_path_factory.mktemp("tiny-generators")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else save_tiny_generator(family, path)

    return folder


@pytest.fixture(scope="session")
def tiny_generator(tiny_generator_folder: Callable[[str], Path]) -> TinyGenerator:
    """Gives the tiny generative model of a family, loaded as a user's own model is; one object for all tests."""
    from tiny_generators import CAUSAL, LANGUAGES

    from continual.backbone.generators import causal, seq2seq

    kept: dict[str, TextToText] = {}

    def generator(family: str) -> "TextToText":
        if family not in kept:
            path = str(tiny_generator_folder(family))
            languages = LANGUAGES if family == "mbart" else {}
            load = causal if family in CAUSAL else seq2seq
            kept[family] = load(path=path, max_length=24, max_target=20, **languages)
        return kept[family]

    return generator


@pytest.fixture(scope="session")
def minilm() -> "Encoder":
    """The embedded MiniLM with its real weights."""
    from continual.backbone.catalog import minilm

    return minilm()
