"""Models, texts and tasks that the rows share."""

import copy
import functools
from typing import Any

from torch import nn

from continual.backbone.encoder import Encoder
from continual.backbone.products import slowed
from streams import StreamManager, build_stream
from streams.task import Task


@functools.cache
def encoder() -> Encoder:
    """The embedded backbone."""
    from continual.backbone.catalog import minilm

    return minilm()


@functools.cache
def plain_model() -> nn.Module:
    """The embedded backbone's model as `transformers` gives it, without what makes its products quicker here."""
    return slowed(copy.deepcopy(encoder().model))


@functools.cache
def stream(name: str, seed: int = 0, **options: Any) -> StreamManager:
    """A named stream with some of its options replaced."""
    from continual.config import compose

    overrides = [f"stream.{key}={'null' if value is None else value}" for key, value in options.items()]
    return build_stream(compose(name, [*overrides, f"seed={seed}"]).stream, seed)


def task(stream_name: str, name: str, **options: Any) -> Task:
    """One task of a named stream."""
    return stream(stream_name, **options).task(name)


def texts(count: int) -> list[str]:
    """Tweets of PHEME's events, repeated until there are `count`."""
    found = [text for name in stream("pheme").names for text in task("pheme", name).train["text"]]
    return [found[number % len(found)] for number in range(count)]
