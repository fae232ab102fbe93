"""Where tasks lie, for baselines with a model for each: texts find theirs as they find their prompt in a pool."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from continual.backbone.frozen import embedding_of
from continual.baselines.states import States
from continual.discriminant import Cloud, Discriminant
from continual.pool.keys import keys_of, nearest_key
from continual.router import THRESHOLD, stranger_threshold
from continual.settings import LearnerSettings

_PART = "keys"


@dataclass(frozen=True)
class Place:
    """Where one task lies.

    Attributes:
        keys: As those of a prompt, [keys, width].
        cloud: Likewise.
        unknown_below: The similarity with the nearest key below which a text is a stranger.
    """

    keys: Tensor
    cloud: Cloud
    unknown_below: float


class Places:
    """Keeps where each task of a run lies, and routes texts by it.

    Args:
        states: Where it is stored, beside the models.
        settings: How many keys there are, and which texts count as strangers.
    """

    def __init__(self, states: States, settings: LearnerSettings) -> None:
        self._states, self._settings = states, settings
        self._known: dict[int, Place] = {}
        self._shape: tuple[int, Discriminant] | None = None

    def keep(self, position: int, train: Tensor, dev: Tensor) -> None:
        """Stores where a task lies.

        Args:
            position: Its place in the stream, from 0.
            train: Profiles of its training texts, [texts, 2 * width].
            dev: Those of its dev texts.
        """
        routing = self._settings.routing
        keys = keys_of(embedding_of(train), routing.keys, self._settings.seed)
        threshold = stranger_threshold(keys, embedding_of(dev), routing.unknown_quantile)
        self._states.save(position + 1, {"keys": keys} | Cloud.of(train).tensors(), {THRESHOLD: threshold}, _PART)

    def route(self, profiles: Tensor, positions: Sequence[int], learned: int) -> tuple[Tensor, float]:
        """To which task each text goes, and what share of them is of none.

        Args:
            profiles: Of the texts, [texts, 2 * width].
            positions: Places of the tasks to choose from.
            learned: How many tasks have been learned: all of these shape the clouds.

        Returns:
            For each text a number in `positions`, [texts], and the share of strangers.
        """
        places = [self._place(position) for position in positions]
        chosen = self._discriminant(learned).scores(profiles, [place.cloud for place in places]).argmax(1)
        embedding = embedding_of(profiles)
        nearest = torch.stack([nearest_key(embedding, place.keys) for place in places], dim=1)
        below = torch.tensor([place.unknown_below for place in places])
        similarity = nearest.gather(1, chosen[:, None])[:, 0]
        return chosen, float((similarity < below[chosen]).double().mean())

    def clear(self) -> None:
        """Forgets what is in memory, so that all is read from disk again."""
        self._known.clear()
        self._shape = None

    def _discriminant(self, learned: int) -> Discriminant:
        """That of the tasks learned so far, the same for all that are tested after them."""
        if self._shape is None or self._shape[0] != learned:
            self._shape = learned, Discriminant([self._place(position).cloud for position in range(learned)])
        return self._shape[1]

    def _place(self, position: int) -> Place:
        if position not in self._known:
            tensors, facts = self._states.load(position + 1, _PART)
            self._known[position] = Place(tensors["keys"], Cloud.stored(tensors), facts[THRESHOLD])
        return self._known[position]
