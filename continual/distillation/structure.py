"""Feature structure distillation: how the teacher's features lie to each other, and not where they lie.

Jung et al. 2023, "Feature Structure Distillation with Centered Kernel Alignment in BERT Transferring" (Expert Systems
with Applications, arXiv 2204.08922). With centred linear kernels K = X X^T, H = I - 11^T / n:

    CKA(X, Y) = <H K_X H, H K_Y H> / sqrt(<H K_X H, H K_X H> <H K_Y H, H K_Y H>)      loss = - log(mean |CKA| + 1e-8)

Three structures are compared: of the tokens within a text, of the texts of a batch, and of texts and a memory of
centroids. CKA does not change when features are rotated or scaled as a whole, so student and teacher may differ in
width.

The released code takes 128 tokens of every text, padding included. Here padded tokens take part in no mean and are zero
where texts are flattened. Later work (arXiv 2509.25253) shows that CKA can be 1 without equal geometry; it is combined
with other losses, never used alone.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_EPSILON = 1e-8


def cka(first: Tensor, second: Tensor, mask: Tensor | None = None) -> Tensor:
    """Linear centered kernel alignment in [0, 1], [...] (Kornblith et al. 2019, arXiv 1905.00414).

    `<H X X^T H, H Y Y^T H>` is `|X_c^T Y_c|^2`, where X_c has the mean of each column taken away.

    Args:
        first: Features of n things, [..., n, width].
        second: Features of the same things, [..., n, other width].
        mask: True where a thing is real, [..., n]; all are without it.

    Returns:
        0 where one side has no variance, since nothing is aligned with a point.
    """
    first, second = _centred(first, mask), _centred(second, mask)
    # Through n x n kernels or width x width products, whichever are smaller: the sums are the same.
    if first.shape[-2] <= min(first.shape[-1], second.shape[-1]):
        kernels = [side @ side.transpose(-1, -2) for side in (first, second)]
        across, own, other = (_inner(*pair) for pair in (kernels, kernels[:1] * 2, kernels[1:] * 2))
    else:
        pairs = ((first, second), (first, first), (second, second))
        across, own, other = (_inner(product, product) for product in (x.transpose(-1, -2) @ y for x, y in pairs))
    smallest = torch.finfo(across.dtype).tiny
    return across / (own.clamp(min=smallest).sqrt() * other.clamp(min=smallest).sqrt())


def cka_loss(alignment: Tensor) -> Tensor:
    """`-log(mean |CKA| + 1e-8)`, a scalar: about 0 for full alignment.

    Args:
        alignment: CKA of any number of comparisons, [...].
    """
    return -torch.log(alignment.abs().mean() + _EPSILON)


def intra_feature_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """L_I: how the tokens of a text lie to each other, a scalar.

    Args:
        student: States, [texts, tokens, width].
        teacher: States of the same tokens, [texts, tokens, other width].
        mask: True where a token is real, [texts, tokens].
    """
    return cka_loss(cka(student, teacher, mask))


def local_inter_feature_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """L_L: how the texts of a batch lie to each other, each taken as all its states end to end, a scalar.

    Args:
        student: States, [texts, tokens, width], of two texts or more.
        teacher: [texts, tokens, other width].
        mask: True where a token is real, [texts, tokens].
    """
    return cka_loss(cka(flattened(student, mask), flattened(teacher, mask)))


def global_inter_feature_loss(
    student: Tensor,
    teacher: Tensor,
    student_memory: Tensor,
    teacher_memory: Tensor,
    balance: float = 0.5,
    per_dimension: bool = False,
) -> Tensor:
    """L_G: how texts lie to a memory of centroids, one in each model's space, a scalar.

        balance MSE(d(f_S, M_S), d(f_T, M_T)) + (1 - balance) MSE(cos(f_S, M_S), cos(f_T, M_T)) + CKA loss(M_S, M_T)

    where d is the Euclidean distance. The student's memory is learned with the student.

    Args:
        student: Flattened features, [texts, student size].
        teacher: Flattened features, [texts, teacher size].
        student_memory: [centroids, student size].
        teacher_memory: [centroids, teacher size], see `initial_memory`.
        balance: Gamma; the released script's is .5.
        per_dimension: Divide distances by the root of the number of dimensions. Ours: as published they grow with
            width and length of the features (hundreds for 128 tokens of BERT), so that their square drowns all other
            losses, and models of different widths cannot agree.
    """
    sides = (torch.cdist(student, student_memory), torch.cdist(teacher, teacher_memory))
    if per_dimension:
        sides = (sides[0] / student.shape[1] ** 0.5, sides[1] / teacher.shape[1] ** 0.5)
    distances = F.mse_loss(*sides)
    cosines = F.mse_loss(_cosines(student, student_memory), _cosines(teacher, teacher_memory))
    return balance * distances + (1 - balance) * cosines + cka_loss(cka(student_memory, teacher_memory))


def flattened(states: Tensor, mask: Tensor, tokens: int | None = None) -> Tensor:
    """Each text as all its states end to end, zero at padding, [texts, tokens * width].

    Args:
        states: [texts, tokens, width].
        mask: True where a token is real, [texts, tokens].
        tokens: Texts are cut or filled up with zeros to so many; as they come by default.
    """
    states = states.masked_fill(~mask[..., None], 0)
    if tokens is not None:
        states = F.pad(states[:, :tokens], (0, 0, 0, max(tokens - states.shape[1], 0)))
    return states.flatten(1)


def initial_memory(mean: Tensor, deviation: Tensor, centroids: int, generator: torch.Generator) -> Tensor:
    """Centroids drawn from a normal distribution with the teacher features' moments, [centroids, size].

    Args:
        mean: Of the features, [size].
        deviation: Of the features, [size].
        centroids: How many; the paper takes 100, and 300 for MNLI and QQP.
        generator: The source of randomness.
    """
    return mean + deviation * torch.randn(centroids, len(mean), generator=generator)


def nearest(features: Tensor, memory: Tensor) -> Tensor:
    """The number of the nearest centroid of each feature by Euclidean distance, [texts].

    Args:
        features: [texts, size].
        memory: [centroids, size].
    """
    return torch.cdist(features, memory).argmin(1)


def renewed(memory: Tensor, sums: Tensor, counts: Tensor) -> Tensor:
    """The memory after a pass: every centroid is the mean of its texts; one without texts stays where it was.

    Args:
        memory: [centroids, size].
        sums: Of the features of each centroid's texts, [centroids, size].
        counts: How many texts each has, [centroids].
    """
    return torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], memory)


def _centred(features: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return features - features.mean(-2, keepdim=True)
    weights = mask.to(features.dtype)[..., None]
    mean = (features * weights).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True)
    return (features - mean) * weights


def _inner(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum((-1, -2))


def _cosines(features: Tensor, memory: Tensor) -> Tensor:
    return F.normalize(features, dim=1) @ F.normalize(memory, dim=1).T
