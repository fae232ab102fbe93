"""The search keys of a prompt, as tensors: how they come from texts, and how near a text is to them."""

import torch
from torch import Tensor

from continual.pool.clusters import spherical_kmeans


def keys_of(vectors: Tensor, count: int, seed: int) -> Tensor:
    """The search keys of texts with these vectors, [keys, width]; see `spherical_kmeans`."""
    return torch.from_numpy(spherical_kmeans(vectors.numpy(), count, seed))


def nearest_key(vectors: Tensor, keys: Tensor) -> Tensor:
    """The cosine of each unit vector [texts, width] with the nearest of some keys [keys, width], [texts]."""
    return (vectors @ keys.T).amax(dim=1)
