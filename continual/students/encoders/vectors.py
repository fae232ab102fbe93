"""DisCo's two stages as objectives: to the teacher's vectors, and by triplets."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.distillation.contrastive import contrastive_distillation, refilled, triplet_contrast, vector_mse
from continual.seeding import seed_of
from continual.students.encoders.inside import look
from continual.students.encoders.labelled import Labelled
from continual.students.encoders.triplets import Side, Triplets

if TYPE_CHECKING:
    from continual.students.encoders.disco import DiscoConfig


class BankedStudent(nn.Module):
    """A student, its projection to the teacher's width, the learned sharpness, and the bank of the teacher's vectors.

    The bank is not learned, but it is state that has to survive a kill, so it is kept with the weights.

    Args:
        encoder: The student.
        width: Of the teacher's vectors.
        size: Vectors in the bank.
        seed: Decides the projection.
    """

    def __init__(self, encoder: Encoder, width: int, size: int, seed: int) -> None:
        super().__init__()
        self.encoder, self.model = encoder, encoder.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "projection"))
            self.projection = nn.Linear(encoder.width, width)
        self.log_sharpness = nn.Parameter(torch.tensor(1.0))  # the released script's start: a sharpness of e
        self.bank = nn.Parameter(torch.zeros(size, width), requires_grad=False)
        self.filled = nn.Parameter(torch.zeros((), dtype=torch.long), requires_grad=False)

    def kept(self) -> Tensor:
        """The vectors in the bank, the newest first, [kept, width]."""
        return self.bank[: int(self.filled)]

    def keep(self, vectors: Tensor) -> None:
        """Puts the teacher's vectors of a batch in front."""
        bank = refilled(self.kept(), vectors, len(self.bank))
        self.bank.data[: len(bank)] = bank
        self.filled.data.fill_(len(bank))


class VectorObjective:
    """The objective of `continual.pretraining.loop` for the teacher's vectors.

    Args:
        module: The student.
        data: The training texts and the teacher's vectors of them [texts, width], computed once.
        dev: Held-out texts and vectors.
        config: Weights.
    """

    def __init__(
        self,
        module: BankedStudent,
        data: tuple[Labelled, Tensor],
        dev: tuple[Labelled, Tensor],
        config: "DiscoConfig",
    ) -> None:
        self.module, self.data, self.dev, self.config = module, data, dev, config

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        own, given = self._both(self.data, rows)
        contrast = contrastive_distillation(own, given, self.module.kept(), self.module.log_sharpness.exp())
        parts = {"contrast": contrast, "mse": vector_mse(own, given)}
        self.module.keep(given)
        return self.config.weight * parts["contrast"] + self.config.mse * parts["mse"], parts

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the mean cosine with the teacher's vectors of held-out texts."""
        cosines = []
        for rows in by_length(self.dev[0].lengths, CHUNK):
            own, given = self._both(self.dev, rows)
            cosines.append(torch.nn.functional.cosine_similarity(own, given))
        return {"dev_cosine": float(torch.cat(cosines).mean())}

    def _both(self, data: tuple[Labelled, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
        own = self.module.projection(look(self.module.encoder, data[0].texts, rows).vectors)
        return own, data[1][rows].to(own)


class TripletStudent(nn.Module):
    """A student and the learned sharpness of its contrast.

    Args:
        encoder: The student.
        sharpness: At the start.
    """

    def __init__(self, encoder: Encoder, sharpness: float) -> None:
        super().__init__()
        self.encoder, self.model = encoder, encoder.model
        self.log_sharpness = nn.Parameter(torch.tensor(float(sharpness)).log())


class TripletObjective:
    """The objective of `continual.pretraining.loop` for triplets.

    Args:
        module: The student.
        triplets: To learn from.
        dev: Held-out texts, whose tasks' labels are to lie apart.
        seed: Decides which triplets are drawn.
    """

    def __init__(self, module: TripletStudent, triplets: Triplets, dev: Labelled, seed: int) -> None:
        self.module, self.triplets, self.dev, self.seed = module, triplets, dev, seed

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        sides = self.triplets.sides(rows, random.Random(seed_of(self.seed, "triplets", str(step))))
        anchors, positives, negatives = (self._vectors(side) for side in sides)
        alike = self.triplets.alike(sides)
        alike = None if alike is None else alike.to(anchors.device)
        return triplet_contrast(anchors, positives, negatives, self.module.log_sharpness.exp(), alike), {}

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: how often the nearest other text of the same task has the same label."""
        from continual.students.encoders.scoring import nearest_agreement

        return {"dev_nearest": nearest_agreement(self.module.encoder, self.dev)}

    def _vectors(self, side: Side) -> Tensor:
        return look(self.module.encoder, side.texts, side.rows).vectors
