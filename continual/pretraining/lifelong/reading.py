"""What a language model says at chosen places of a batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from continual.pretraining.lifelong.objectives import Question


def logits_at(model: "PreTrainedModel", ids: Tensor, attention: Tensor, places: Tensor) -> Tensor:
    """The model's logits at `places` alone.

    The matrix of the vocabulary is most of a small model's work, so it is applied to the states of these places only: a
    hook picks them before the model's output layer, which works for every family.

    Args:
        model: A masked or causal model of Hugging Face's library.
        ids: [texts, length].
        attention: 1 at real tokens, [texts, length].
        places: True where logits are asked for, [texts, length].

    Returns:
        [places, V], in the order of texts and places.
    """
    device = model.device
    chosen = places.to(device)

    def pick(layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0][chosen], *given[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        extra = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
        return model(input_ids=ids.to(device), attention_mask=attention.to(device), **extra).logits
    finally:
        hook.remove()


@torch.no_grad()
def calm_logits_at(model: "PreTrainedModel", ids: Tensor, attention: Tensor, places: Tensor) -> Tensor:
    """The same without dropout and without gradient; the model is left in the mode in which it was."""
    training = model.training
    model.eval()
    try:
        return logits_at(model, ids, attention, places)
    finally:
        model.train(training)


def answers(model: "PreTrainedModel", question: "Question") -> Tensor:
    """The logits of what a question asks for, [asked, V]."""
    return logits_at(model, question.read, question.attention, question.places)


def by_tokens(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Row numbers in groups of like length with at most `tokens` tokens each, padding included, longest first."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
