"""DisCo's losses: a student's vector of a text is to be nearest to the teacher's vector of the same text.

Gao et al. 2021, "DistilCSE: Effective Knowledge Distillation For Contrastive Sentence Embeddings" (arXiv 2112.05638,
called DisCo in its first version). Three steps: a teacher that was trained by contrast, distillation on text without
labels, and contrastive fine-tuning of the student alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.errors import LearningError


def contrastive_distillation(student: Tensor, teacher: Tensor, bank: Tensor, sharpness: Tensor | float) -> Tensor:
    """CKD, the loss of the second step, in nats: a mean over texts, a scalar.

        - log  exp(s cos(q_i, k_i)) / sum_j exp(s cos(q_i, k_j))      k_j: the teacher's vectors of batch and bank

    Only vectors of the teacher are compared with; no student meets a student. As in the released code `sharpness` is
    `exp(theta)` with theta = 1 at the start, learned with the rest.

    Args:
        student: The student's vectors, projected to the teacher's width, [texts, width].
        teacher: The teacher's vectors of the same texts, [texts, width].
        bank: The teacher's vectors of earlier texts, [kept, width]; may be empty.
        sharpness: s, the inverse of a temperature; above 0.

    Raises:
        LearningError: Student and teacher differ in width.
    """
    if student.shape != teacher.shape:
        raise LearningError(
            f"The student's vectors have the shape {tuple(student.shape)} and the teacher's {tuple(teacher.shape)}, "
            "expected the same; project the student's to the teacher's width."
        )
    keys = F.normalize(torch.cat([teacher, bank.to(teacher)]), dim=1)
    cosines = F.normalize(student, dim=1) @ keys.T
    return F.cross_entropy(sharpness * cosines, torch.arange(len(student), device=student.device))


def refilled(bank: Tensor, vectors: Tensor, size: int) -> Tensor:
    """The bank after a step: unit vectors, the newest first, `size` at most; without gradient.

    Args:
        bank: What was kept so far, [kept, width].
        vectors: The teacher's vectors of this batch, [texts, width].
        size: How many are kept; the released script's is 65,536.
    """
    return torch.cat([F.normalize(vectors.detach(), dim=1).to(bank), bank])[:size]


def vector_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """The baseline that CKD is compared with: mean squared difference over texts and dimensions, a scalar.

    Args:
        student: Projected to the teacher's width, [texts, width].
        teacher: [texts, width].
    """
    return torch.mean((student - teacher) ** 2)


def triplet_contrast(
    anchors: Tensor,
    positives: Tensor,
    negatives: Tensor | None = None,
    sharpness: Tensor | float = 20.0,
    alike: Tensor | None = None,
) -> Tensor:
    """The loss of the third step, SimCSE's supervised one, in nats (Gao et al. 2021, arXiv 2104.08821), a scalar.

    An anchor is to find its own positive among the positives and hard negatives of the whole batch.

    Args:
        anchors: [texts, width].
        positives: One for each anchor, [texts, width].
        negatives: Hard negatives, [any, width], or None.
        sharpness: The inverse of a temperature; the paper's is 1 / 0.05.
        alike: True where a candidate (positives, then negatives) means the same as an anchor and is no negative of
            it, such as one with the same label, [texts, candidates]. Ours: pairs of an inference corpus need none.
    """
    candidates = positives if negatives is None else torch.cat([positives, negatives])
    scores = sharpness * (F.normalize(anchors, dim=1) @ F.normalize(candidates, dim=1).T)
    own = torch.arange(len(anchors), device=anchors.device)
    if alike is not None:
        others = alike & (torch.arange(len(candidates), device=own.device) != own[:, None])
        scores = scores.masked_fill(others, float("-inf"))
    return F.cross_entropy(scores, own)
