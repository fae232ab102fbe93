"""Transferability metrics: pure functions of two signatures, higher = the source will help the target more."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Signature:
    """What the metrics compare of a prompt. It is stored with the prompt, so that ranking runs no model.

    Attributes:
        tokens: The prompt as vectors, [tokens, width]; none for tunings that have no such vectors.
        shift: How learning moved the mean last state over the probe texts, from the initial prompt's, [width].
        state: Mean over the probe texts of the last state with the prompt, [width].
        neurons: 1 where a feed-forward unit of a layer that the prompt touches is on, else 0, [units].
        keys: Unit vectors of the task's texts, [keys, width].
    """

    tokens: Tensor
    shift: Tensor
    state: Tensor
    neurons: Tensor
    keys: Tensor


def panda(source: Signature, target: Signature) -> float:
    """Cosine of task embeddings, in [-1, 1] (Zhong et al. 2022, arXiv 2208.10160).

    A task embedding is the mean over shared probe texts of what the learned prompt adds to the last state. The
    paper's text gives the cosine in a shared semantic space; layer, pooling, probe texts and the point of origin
    are not published, so they are our reading. `panda_state` is the other one.
    """
    return _cosine(source.shift, target.shift)


def panda_state(source: Signature, target: Signature) -> float:
    """Cosine of the mean last states under each prompt, the part common to all prompts included, in [-1, 1]."""
    return _cosine(source.state, target.state)


def activated_neurons(source: Signature, target: Signature) -> float:
    """ON: |A and B| / sqrt(|A| |B|) over the switched-on units of both prompts, in [0, 1] (Su et al. 2022).

    NaN when the prompts touch different layers, or when the backbone does not show its units.
    """
    if source.neurons.shape != target.neurons.shape or not source.neurons.numel():
        return float("nan")
    return _cosine(source.neurons.float(), target.neurons.float())


def e_avg(source: Signature, target: Signature) -> float:
    """Mean cosine over all pairs of tokens, in [-1, 1] (SPoT; Su et al. 2022). Lengths may differ; NaN without any."""
    if not source.tokens.numel() or not target.tokens.numel():
        return float("nan")
    first, second = F.normalize(source.tokens, dim=1), F.normalize(target.tokens, dim=1)
    return float((first @ second.T).mean())


def e_concat(source: Signature, target: Signature) -> float:
    """Cosine of the flattened prompts, in [-1, 1]; NaN when they differ in shape or are none (Su et al. 2022)."""
    if source.tokens.shape != target.tokens.shape or not source.tokens.numel():
        return float("nan")
    return _cosine(source.tokens.flatten(), target.tokens.flatten())


def key_cosine(source: Signature, target: Signature) -> float:
    """Mean over the target's keys of the best cosine with a source's key, in [-1, 1]: closeness of the texts."""
    return float((target.keys @ source.keys.T).amax(dim=1).mean())


def _cosine(first: Tensor, second: Tensor) -> float:
    return float(F.cosine_similarity(first, second, dim=0, eps=1e-12)) if torch.any(first) else 0.0
