"""How nearly a grown model does to remembered texts what the old one did: as a loss, and as answers that are kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import Seen, freeze
from continual.backbone.readout import Readout
from continual.backbone.texts import EncodedTexts
from continual.growth.maps import GrowthMap
from continual.growth.memory import Remembered
from continual.pool.prompt import Prompt
from continual.predictor import Held, Predictor
from continual.tuning import stored_tuning
from continual.tuning.base import Tensors, Tuning, pooled_state, trained_tensors


@dataclass(frozen=True)
class Pair:
    """A prompt on the old backbone and what it was carried to on the grown one."""

    old: Prompt
    new: Prompt


@dataclass(frozen=True)
class Known:
    """A task whose answers must stay.

    Attributes:
        texts: Its remembered texts.
        prompts: The prompt that answers for it.
    """

    texts: Remembered
    prompts: Pair


def answers(encoder: Encoder, prompts: Sequence[Prompt], texts: Sequence[Remembered]) -> list[Tensor]:
    """For each task's texts the numbers of the labels that its prompt gives, [texts] each."""
    predictor = Predictor(encoder, Held(prompts))
    found = []
    for prompt, remembered in zip(prompts, texts, strict=True):
        tuning, readout, _ = _apart(prompt)
        view = freeze(encoder, remembered.tokenized(encoder), tuning.entry(encoder), readout, keep_states=False)
        logits = predictor.logits(view, range(len(view)), [prompt.id] * len(view))
        found.append(torch.stack(logits).argmax(1) if logits else torch.zeros(0, dtype=torch.long))
    return found


@dataclass(frozen=True)
class Kept:
    """How many answers are what they were.

    Attributes:
        texts: Texts of each task.
        changed: How many of them are answered otherwise.
    """

    texts: list[int]
    changed: list[int]

    @classmethod
    def of(cls, before: Sequence[Tensor], after: Sequence[Tensor]) -> "Kept":
        """From the answers of each task, label numbers [texts]."""
        pairs = zip(before, after, strict=True)
        return cls([len(one) for one in before], [int((one != other).sum()) for one, other in pairs])

    @property
    def share(self) -> float:
        """Of all texts; 1 where there are none."""
        return 1 - sum(self.changed) / max(sum(self.texts), 1)

    @property
    def worst(self) -> float:
        """Of the texts of the task of which least was kept; 1 where there are none."""
        pairs = zip(self.changed, self.texts, strict=True)
        return min((1 - changed / texts for changed, texts in pairs if texts), default=1.0)

    def enough(self, keep: float) -> bool:
        """Whether in each task at most the share `1 - keep` has changed; one text always may."""
        allowed = (max(1, math.floor((1 - keep) * texts)) if keep < 1 else 0 for texts in self.texts)
        return all(changed <= most for changed, most in zip(self.changed, allowed, strict=True))


@dataclass
class Distillation:
    """The old model teaches the grown one on remembered texts.

        loss = mean over layers of |h' - C h|^2 / |C h|^2  +  mean (z' - z)^2

    with states h after each old layer from `first` on and their copies C h, the grown model's states h' there, and the
    logits z and z' that the task's prompt adds. The first keeps keys, grounds and routing, the second answers.

    Attributes:
        old: The backbone before growth.
        new: The grown one, some of whose weights learn.
        plan: What was copied.
        first: The number of the grown model's first layer that learns.
        known: What must be kept.
    """

    old: Encoder
    new: Encoder
    plan: GrowthMap
    first: int
    known: Sequence[Known]
    _texts: dict[int, tuple[EncodedTexts, EncodedTexts]] = field(default_factory=dict)

    def loss(self, task: int, rows: Tensor) -> Tensor:
        """The loss on some of a task's texts, a scalar."""
        texts, read = self._encoded(task)
        return self._states(texts, rows) + self._logits(task, read, rows)

    def _states(self, texts: EncodedTexts, rows: Tensor) -> Tensor:
        stack = self.plan.reader
        ids, mask, types = texts.batch(rows, self.old.pad_token)
        with torch.no_grad():
            old, new = (encoder.embed(ids, mask, types) for encoder in (self.old, self.new))
            new = self.new.run(new, mask, stop=self.first)
        place, losses = self.first, []
        for layer in range(stack.old):
            with torch.no_grad():
                old = self.old.run(old, mask, layer, layer + 1)
            behind = stack.behind(layer + 1)
            if behind <= self.first:
                continue
            new = self.new.run(new, mask, place, behind)
            place = behind
            target = self.plan.residual.copied(old, 2)[mask]
            losses.append((new[mask] - target).square().mean() / target.square().mean())
        return torch.stack(losses).mean()

    def _logits(self, task: int, texts: EncodedTexts, rows: Tensor) -> Tensor:
        pair = self.known[task].prompts
        with torch.no_grad():
            old = _prompt_logits(self.old, pair.old, texts, rows, self.old.depth)
        return F.mse_loss(_prompt_logits(self.new, pair.new, texts, rows, self.first), old)

    def _encoded(self, task: int) -> tuple[EncodedTexts, EncodedTexts]:
        """A task's texts as they are, and as its prompt reads them."""
        if task not in self._texts:
            known = self.known[task]
            texts = known.texts.tokenized(self.old)
            self._texts[task] = texts, _apart(known.prompts.old)[0].texts(self.old, texts)
        return self._texts[task]


def _prompt_logits(encoder: Encoder, prompt: Prompt, texts: EncodedTexts, rows: Tensor, first: int) -> Tensor:
    """What a prompt adds to the ground, [rows, labels], with gradients to the layers from `first` on that learn."""
    tuning, _, tensors = _apart(prompt)
    ids, mask, types = texts.batch(rows, encoder.pad_token)
    entry = tuning.entry(encoder)
    with torch.no_grad():
        hidden = encoder.run(encoder.embed(ids, mask, types), mask, stop=min(first, entry))
    if entry > first:
        hidden = encoder.run(hidden, mask, first, entry)
    embedding = hidden.new_zeros(len(rows), 0)
    if tuning is not tuning.base:  # compositions look at the text
        with torch.no_grad():
            embedding = F.normalize(encoder.pool(encoder.run(hidden, mask, entry), mask), dim=1)
    marks = None if texts.marks is None else texts.marks.batch(rows)[0]
    read = pooled_state(tuning, encoder, Seen(hidden, mask, embedding, marks), tensors)
    return read @ prompt.tensors["head.weight"].T + prompt.tensors["head.bias"]


def _apart(prompt: Prompt) -> tuple[Tuning, Readout, Tensors]:
    readout = Readout(**prompt.tuning["readout"])
    return stored_tuning(prompt.tuning), readout, trained_tensors(prompt.tensors)
