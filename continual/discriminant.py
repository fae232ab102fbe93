"""Which task a text is of, by where the texts of each task lie: linear discriminant analysis over a pool of prompts.

Every task's texts are taken for a normal cloud around their mean, and all clouds for equally shaped. That shape, the
covariance within a task, is a mean over the prompts of a pool: what each has stored of its own cloud is enough, and no
text is needed again. A text belongs to the cloud under which it is most probable (Fisher 1936; for streams of tasks
Hayes and Kanan 2020, arXiv 1909.01520; for spotting strangers Lee et al. 2018, arXiv 1807.03888).

Nearest keys alone count a difference in a direction in which all texts differ as much as one that tells tasks apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

RANK = 16
"""Directions in which the spread of a task's texts is stored; beyond them it is taken for equal in all."""

SHRINKAGE = 0.4
"""Share of the covariance that is replaced by one without directions, since texts are few and directions many."""

CLOUD = "cloud."
"""How the names of stored tensors of a cloud begin."""


@dataclass(frozen=True)
class Cloud:
    """Where the texts of a task lie among the profiles that a frozen backbone makes of texts, see `FrozenView`.

    Attributes:
        mean: Their mean, [width].
        spread: The directions in which they vary most, each as long as their deviation in it, [width, rank].
        variances: Their variance in each further direction, and the mean one over all directions, [2].
    """

    mean: Tensor
    spread: Tensor
    variances: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> Self:
        """The cloud of some texts, [texts, width]; a single one has no extent."""
        exact = vectors.double()
        mean = exact.mean(0)
        width = exact.shape[1]
        around = (exact - mean) / max(len(exact) - 1, 1) ** 0.5
        if len(around) > width:  # the same lengths and directions in fewer rows
            around = torch.linalg.qr(around, mode="r").R
        _, lengths, directions = torch.linalg.svd(around, full_matrices=False)
        # Which way a direction points is chance, and the same texts must give the same bits.
        directions = directions * torch.where(directions.sum(1) < 0, -1.0, 1.0)[:, None]
        spread = (directions[:RANK] * lengths[:RANK, None]).T
        variances = torch.stack([(lengths[RANK:] ** 2).sum() / width, (lengths**2).sum() / width])
        return cls(mean.float(), spread.float().contiguous(), variances.float())

    def tensors(self) -> dict[str, Tensor]:
        """To be stored with a prompt."""
        return {f"{CLOUD}{name}": value for name, value in vars(self).items()}

    @classmethod
    def stored(cls, tensors: Mapping[str, Tensor]) -> Self | None:
        """The inverse of `tensors`; None for prompts of versions that stored none."""
        names = [f"{CLOUD}{name}" for name in cls.__dataclass_fields__]
        return cls(*(tensors[name] for name in names)) if all(name in tensors for name in names) else None


class Discriminant:
    """How probable texts are under clouds of one shape.

    Args:
        clouds: The clouds whose mean covariance is that shape, one or more.
    """

    def __init__(self, clouds: Sequence[Cloud]) -> None:
        width = len(clouds[0].mean)
        whole = torch.zeros(width, width, dtype=torch.float64)
        for cloud in clouds:
            spread = cloud.spread.double()
            whole += spread @ spread.T / len(clouds)
        rest, level = torch.stack([cloud.variances.double() for cloud in clouds]).mean(0)
        even = (1 - SHRINKAGE) * rest + SHRINKAGE * level
        # Texts that are all alike have no shape; any will do then.
        even = torch.where(even > 0, even, torch.ones_like(even))
        self._precision = torch.linalg.inv((1 - SHRINKAGE) * whole + even * torch.eye(width, dtype=torch.float64))

    def scores(self, vectors: Tensor, clouds: Sequence[Cloud]) -> Tensor:
        """Log-densities of texts [texts, width] under each cloud, up to a number for each text: [texts, clouds]."""
        means = torch.stack([cloud.mean for cloud in clouds]).double()
        weights = means @ self._precision
        return vectors.double() @ weights.T - (weights * means).sum(1) / 2
