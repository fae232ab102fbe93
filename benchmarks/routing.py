"""How texts find their task: the nearest key, or the densest cloud of what texts say, or of that and their words.

    CONTINUAL_DATA=... python -m benchmarks.routing [--seeds 0,1,2]

For each stream the frozen backbone's profiles of the training texts make keys and clouds as `Learner` does, and the dev
texts of all tasks are sent to one. Test texts are not looked at, so that the choice between the rules may be made by
this. No prompt is trained; some minutes on two cores.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.common import save
from continual.backbone.encoder import Encoder
from continual.backbone.frozen import embedding_of, freeze
from continual.backbone.opening import open_backbone
from continual.backbone.readout import Readout
from continual.config import compose
from continual.discriminant import Cloud, Discriminant
from continual.pool.keys import keys_of, nearest_key
from continual.settings import RoutingConfig
from continual.views import texts_of
from streams import Task, build_stream

_CAPS = ("stream.max_train=128", "stream.max_dev=64", "stream.max_test=2", "backbone.max_length=32")
_FIVE_EVENTS = "stream.tasks=[charliehebdo,ferguson,germanwings-crash,ottawashooting,sydneysiege]"
STREAMS = {"cl5": _CAPS, "cl10": _CAPS, "pheme": (*_CAPS, _FIVE_EVENTS)}
SIZES = (128, 48)
"""Training texts of each task."""

Profiles = list[tuple[Tensor, Tensor]]
"""For each task those of its training and its dev texts, see `FrozenView`."""


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    rows = []
    for stream, caps in STREAMS.items():
        for seed in seeds:
            profiles = read(stream, caps, seed)
            for size in SIZES:
                found = {"stream": stream, "seed": seed, "texts": size, **shares(profiles, size)}
                print(found, flush=True)
                rows.append(found)
    save("routing", {"caps": STREAMS, "rows": rows})


def read(stream: str, caps: Sequence[str], seed: int) -> Profiles:
    """The profiles of a stream's texts."""
    config = compose(stream, [*caps, f"seed={seed}"])
    encoder = open_backbone(config.backbone)
    tasks = build_stream(config.stream, config.seed)
    return [(_profiles(encoder, task, "train"), _profiles(encoder, task, "dev")) for task in tasks]


def shares(profiles: Profiles, size: int) -> dict[str, float]:
    """The share of dev texts that find their own task, by each rule, with so many training texts of each task."""
    train = [own[:size] for own, _ in profiles]
    texts = torch.cat([dev for _, dev in profiles])
    truth = torch.cat([torch.full((len(dev),), number) for number, (_, dev) in enumerate(profiles)])
    keys = [keys_of(embedding_of(own), RoutingConfig().keys, 0) for own in train]
    found = {
        "nearest": torch.stack([nearest_key(embedding_of(texts), own) for own in keys], dim=1).argmax(1),
        "densest": _densest(embedding_of(texts), [embedding_of(own) for own in train]),
        "densest_with_words": _densest(texts, train),
    }
    return {name: float((it == truth).float().mean()) for name, it in found.items()}


def _densest(texts: Tensor, train: Sequence[Tensor]) -> Tensor:
    clouds = [Cloud.of(own) for own in train]
    return Discriminant(clouds).scores(texts, clouds).argmax(1)


def _profiles(encoder: Encoder, task: Task, split: str) -> Tensor:
    return freeze(encoder, texts_of(task.split(split), encoder), encoder.depth, Readout("none", terms=0)).profile


if __name__ == "__main__":
    main()
