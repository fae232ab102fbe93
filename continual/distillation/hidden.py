"""TinyBERT's losses: a student learns what its teacher has inside, layer by layer.

Jiao et al. 2020, "TinyBERT: Distilling BERT for Natural Language Understanding" (Findings of EMNLP, arXiv 1909.10351).
Layer m of the student (0: embeddings, 1 to M: its layers) learns from layer g(m) of the teacher; all layers and all
losses have the weight 1:

    L_embd = MSE(E^S W, E^T)      L_hidn = MSE(H^S W, H^T)      L_attn = (1/h) sum_i MSE(A_i^S, A_i^T)
    L_pred = - sum softmax(z^T / t) log softmax(z^S / t)

The A_i are attention scores *before* the softmax. The released code has one W for all layers, adds the mask to the
scores, sets what is hidden to 0 and averages over all places. Here a mean is over real places alone, so that a text's
part in it does not depend on the texts beside it; and the prediction loss is a mean over texts, as the paper has it,
where the code also divides by the number of labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from continual.errors import LearningError

MAPS = ("uniform", "first", "last")


def layer_map(kind: str, student: int, teacher: int) -> tuple[int, ...]:
    """Which state of the teacher each state of the student learns from: g(0), ..., g(M); g(0) = 0, the embeddings.

    Args:
        kind: `uniform`: g(m) = m N / M (rounded where M does not divide N, which the paper never does). `first`:
            g(m) = m, the paper's bottom strategy. `last`: g(m) = m + N - M, its top strategy.
        student: Layers of the student, M.
        teacher: Layers of the teacher, N.

    Raises:
        LearningError: The student has no layers or more than the teacher, or there is no such map.
    """
    if not 1 <= student <= teacher:
        raise LearningError(
            f"The student has {student} layers and the teacher {teacher}, expected from 1 to as many as the teacher; "
            "change the number of the student's layers."
        )
    layers = range(1, student + 1)
    if kind == "uniform":
        mapped = [(2 * m * teacher + student) // (2 * student) for m in layers]
    elif kind == "first":
        mapped = list(layers)
    elif kind == "last":
        mapped = [m + teacher - student for m in layers]
    else:
        raise LearningError(f"The map of the layers is {kind!r}, expected one of {', '.join(MAPS)}.")
    return (0, *mapped)


def state_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """L_embd or L_hidn: the mean squared difference of states over real tokens and dimensions, a scalar.

    Args:
        student: States that are as wide as the teacher's already (E^S W or H^S W), [texts, tokens, width].
        teacher: [texts, tokens, width].
        mask: True where a token is real, [texts, tokens].

    Raises:
        LearningError: The widths differ.
    """
    if student.shape != teacher.shape:
        raise LearningError(
            f"The student's states have the shape {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}, "
            "expected the same; project the student's to the teacher's width."
        )
    weights = mask.to(student.dtype)
    return torch.einsum("bld,bl->", (student - teacher) ** 2, weights) / (weights.sum() * student.shape[2])


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """L_attn: the mean squared difference of attention scores over heads and pairs of real tokens, a scalar.

    Args:
        student: Scores before softmax and mask, [texts, heads, tokens, tokens].
        teacher: The same.
        mask: True where a token is real, [texts, tokens].

    Raises:
        LearningError: They have different numbers of heads, for which the loss is not defined.
    """
    if student.shape != teacher.shape:
        raise LearningError(
            f"The student's attention scores have the shape {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)}, expected the same; give the student as many heads as the teacher has."
        )
    weights = mask.to(student.dtype)
    total = torch.einsum("bhqk,bq,bk->", (student - teacher) ** 2, weights, weights)
    return total / ((weights.sum(1) ** 2).sum() * student.shape[1])


def layers_loss(
    states: tuple[Sequence[Tensor], Sequence[Tensor]], scores: tuple[Sequence[Tensor], Sequence[Tensor]], mask: Tensor
) -> dict[str, Tensor]:
    """The sums over layers of the intermediate losses, by name: `embedding`, `hidden`, `attention`.

    Args:
        states: Of the student (projected) and of the teacher, those that belong together at the same place: the
            embeddings first, then the layers; each [texts, tokens, width].
        scores: Attention scores of the student's and the teacher's layers in the same way, without the embeddings;
            each [texts, heads, tokens, tokens].
        mask: True where a token is real, [texts, tokens].
    """
    differences = [state_loss(own, given, mask) for own, given in zip(*states, strict=True)]
    attention = [attention_loss(own, given, mask) for own, given in zip(*scores, strict=True)]
    return {"embedding": differences[0], "hidden": _sum(differences[1:]), "attention": _sum(attention)}


def prediction_loss(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """L_pred: the cross-entropy of softened answers in nats, a mean over texts, a scalar.

    Args:
        student: Logits, [texts, labels].
        teacher: Logits, [texts, labels].
        temperature: t, above 0; the paper's is 1.
    """
    wanted = torch.softmax(teacher / temperature, dim=1)
    return -(wanted * torch.log_softmax(student / temperature, dim=1)).sum(1).mean()


def _sum(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()
