"""What is kept of a task's texts so that a prompt can be judged later without them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen
from continual.backbone.states import CHUNK
from continual.backbone.texts import by_length
from continual.pool.keys import keys_of
from continual.training.examples import Examples
from continual.tuning.base import Tensors, Tuning, pooled_state

CLUSTERS = 8
TOKENS = 16
DRAWN = 4


@dataclass(frozen=True)
class Statistics:
    """Means and deviations of a task's frozen states by clusters of texts of one label; no text can be read from them.

    A text is stood for by tokens drawn around the mean state of its cluster. That is coarse, and enough to tell
    whether a changed prompt still draws the labels apart.

    Attributes:
        means: Mean state of a cluster's tokens before the prompt's entry, [clusters, width].
        deviation: Deviation of a token's state from its cluster's mean, [clusters, width].
        ground: Mean logits that the clusters' texts have without the prompt, [clusters, labels].
        labels: Label number of each cluster, [clusters].
        embedding: Mean unit vector of a cluster's texts, [clusters, width].
    """

    means: Tensor
    deviation: Tensor
    ground: Tensor
    labels: Tensor
    embedding: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, examples: Examples, seed: int) -> "Statistics":
        """The statistics of labelled texts.

        Args:
            examples: The texts.
            seed: Decides where clusters start.
        """
        sums, squares, lengths = _token_sums(examples)
        means, deviations, grounds, labels, embeddings = [], [], [], [], []
        for label in examples.labels.unique().tolist():
            rows = torch.nonzero(examples.labels == label).flatten()
            vectors = examples.view.embedding[rows]
            centres = keys_of(vectors, min(CLUSTERS, len(rows)), seed)
            nearest = (vectors @ centres.T).argmax(1)
            for cluster in nearest.unique().tolist():
                own = rows[nearest == cluster]
                count = lengths[own].sum()
                mean = sums[own].sum(0) / count
                means.append(mean)
                deviations.append((squares[own].sum(0) / count - mean**2).clamp(min=0).sqrt())
                grounds.append(examples.ground[own].mean(0))
                labels.append(label)
                embeddings.append(F.normalize(vectors[nearest == cluster].mean(0), dim=0))
        return cls(*map(torch.stack, (means, deviations, grounds)), torch.tensor(labels), torch.stack(embeddings))

    def tensors(self) -> dict[str, Tensor]:
        """To be stored; `Statistics(**tensors)` is the inverse."""
        return dict(vars(self))

    @classmethod
    def stored(cls, tensors: Mapping[str, Tensor]) -> "Statistics":
        """The inverse of `tensors`."""
        return cls(**{name: tensors[name] for name in cls.__dataclass_fields__})

    @torch.no_grad()
    def losses(
        self, encoder: Encoder, tuning: Tuning, tensors: Tensors, weight: Tensor, bias: Tensor, seed: int
    ) -> tuple[Tensor, Tensor]:
        """How a prompt and its classifier do on texts drawn from the statistics.

        Args:
            encoder: The backbone.
            tuning: The prompt's kind.
            tensors: The prompt.
            weight: Of the classifier of states that are not standardised, [labels, width].
            bias: [labels].
            seed: Decides what is drawn; prompts are compared on the same draws.

        Returns:
            For each drawn text its cross-entropy in nats, and whether its label was right; both [DRAWN * clusters], all
            clusters drawn once, then once more.
        """
        generator = torch.Generator().manual_seed(seed)
        losses, right = [], []
        for _ in range(DRAWN):
            noise = torch.randn(len(self.means), TOKENS, self.means.shape[1], generator=generator)
            hidden = self.means[:, None] + noise * self.deviation[:, None]
            seen = Seen(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool), self.embedding)
            logits = self.ground + pooled_state(tuning, encoder, seen, tensors) @ weight.T + bias
            losses.append(F.cross_entropy(logits, self.labels, reduction="none"))
            right.append(logits.argmax(1) == self.labels)
        return torch.cat(losses), torch.cat(right)


def _token_sums(examples: Examples) -> tuple[Tensor, Tensor, Tensor]:
    """For each text the sum and the sum of squares of its tokens' states, [texts, width], and its length."""
    states = examples.view.states
    width = examples.view.embedding.shape[1]
    sums, squares = torch.zeros(len(examples), width), torch.zeros(len(examples), width)
    for rows in by_length(states.lengths, CHUNK):
        hidden, mask = states.batch(rows)
        real = hidden * mask[..., None]
        sums[rows], squares[rows] = real.sum(1), (real**2).sum(1)
    return sums, squares, states.lengths
