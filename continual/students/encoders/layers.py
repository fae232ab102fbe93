"""TinyBERT's Transformer distillation as an objective: embeddings, hidden states and attention of mapped layers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK
from continual.backbone.texts import EncodedTexts, by_length
from continual.distillation.hidden import layers_loss
from continual.seeding import seed_of
from continual.students.encoders.classifier import Classifier
from continual.students.encoders.inside import Inside, look, look_only


class TaughtStudent(nn.Module):
    """A student with heads, and what brings its states to the teacher's width while it is taught.

    Args:
        classifier: The student.
        width: Of the teacher's states.
        seed: Decides the projection.
    """

    def __init__(self, classifier: Classifier, width: int, seed: int) -> None:
        super().__init__()
        self.classifier = classifier
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(seed, "projection"))
            # One for all layers, with a bias, and also where the widths are the same: as in the released code.
            self.projection = nn.Linear(classifier.encoder.width, width)


class LayersObjective:
    """The objective of `continual.pretraining.loop` for the intermediate layers.

    Args:
        module: The student.
        teacher: A frozen encoder.
        mapped: g(0), ..., g(M), see `distillation.hidden.layer_map`.
        texts: To learn from.
        held_out: To be scored on.
    """

    def __init__(
        self,
        module: TaughtStudent,
        teacher: Encoder,
        mapped: Sequence[int],
        texts: EncodedTexts,
        held_out: EncodedTexts,
    ) -> None:
        self.module, self.teacher, self.mapped = module, teacher, mapped
        self.texts, self.held_out = texts, held_out

    def loss(self, step: int, rows: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """See `Objective.loss`."""
        parts = self._parts(self.texts, rows)
        return sum(parts.values()), parts

    def evaluate(self) -> dict[str, float]:
        """See `Objective.evaluate`: the loss on held-out texts, a mean over batches."""
        batches = by_length(self.held_out.ids.lengths, CHUNK)
        losses = [sum(self._parts(self.held_out, rows).values()) for rows in batches]
        return {"dev_loss": float(torch.stack(losses).mean())}

    def _parts(self, texts: EncodedTexts, rows: Tensor) -> dict[str, Tensor]:
        own, given = look(self.module.classifier.encoder, texts, rows), look_only(self.teacher, texts, rows)
        states = ([self.module.projection(state) for state in own.states], [given.states[it] for it in self.mapped])
        return layers_loss(states, (_scores(own, range(own.encoder.depth)), self._taught_scores(given)), own.mask)

    @torch.no_grad()
    def _taught_scores(self, given: Inside) -> list[Tensor]:
        return _scores(given, [state - 1 for state in self.mapped[1:]])


def _scores(inside: Inside, layers: Sequence[int]) -> list[Tensor]:
    return [inside.scores(layer) for layer in layers]
