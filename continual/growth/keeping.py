"""How nearly a grown model does to remembered texts what the old one did: as a loss, and as answers that are kept."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenView, Seen, freeze
from continual.backbone.readout import Readout
from continual.backbone.space import Space
from continual.backbone.states import CHUNK, KeptStates
from continual.backbone.texts import EncodedTexts, Ragged
from continual.growth.maps import GrowthMap
from continual.growth.memory import Remembered
from continual.pool.keys import nearest_key
from continual.pool.prompt import Prompt
from continual.pool.search import Hit
from continual.predictor import Held, Predictor
from continual.router import Router
from continual.storing import pairs_of
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


@dataclass(frozen=True)
class Answers:
    """What is answered to remembered texts.

    Attributes:
        told: For each task's texts the numbers of the labels that its prompt gives, [texts] each.
        routed: The same where the task is not told: which of the prompts answers, and its label, as one number.
    """

    told: list[Tensor]
    routed: list[Tensor]


def answers(encoder: Encoder, texts: Sequence[Remembered], own: Sequence[Prompt], rivals: Sequence[Prompt]) -> Answers:
    """What prompts answer, with the task told and not told.

    Args:
        encoder: The backbone, as it is now.
        texts: Of some tasks.
        own: For each of them the prompt that answers for it.
        rivals: All prompts that a text may go to.
    """
    shelf = _Shelf([*own, *rivals])
    predictor, router = Predictor(encoder, shelf), Router(shelf)
    found = Answers([], [])
    for remembered, prompt in zip(texts, own, strict=True):
        tuning, readout, _ = _apart(prompt)
        view = freeze(encoder, remembered.tokenized(encoder), tuning.entry(encoder), readout, keep_states=False)
        told = _labels(predictor, view, [prompt.id] * len(view))
        chosen = [route.prompt for route in router.route(view.profile, shelf.closed(remembered.pairs is not None))]
        labels = _labels(predictor, view, chosen)
        found.told.append(told)
        found.routed.append(shelf.numbers(chosen) * shelf.most_labels + labels)
    return found


def _labels(predictor: Predictor, view: FrozenView, prompts: Sequence[str]) -> Tensor:
    logits = predictor.logits(view, range(len(view)), prompts)
    return torch.stack([row.argmax() for row in logits]) if logits else torch.zeros(0, dtype=torch.long)


class _Shelf(Held):
    """A few prompts in memory, by which a `Router` can choose as from a pool."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        super().__init__(prompts)
        self._all = {prompt.id: prompt for prompt in prompts}
        self.record = self.get
        self.most_labels = max((len(prompt.labels) for prompt in prompts), default=1)

    def __len__(self) -> int:
        return len(self._all)

    def ids(self) -> list[str]:
        """Of all prompts."""
        return list(self._all)

    def superseded(self) -> tuple[str, ...]:
        """Prompts that a newer one stands for: none are kept."""
        return ()

    def search(self, queries: Tensor, most: int, exclude: Collection[str] = ()) -> list[list[Hit]]:
        """As `PromptPool.search`."""
        names = [name for name in self._all if name not in exclude]
        scores = torch.stack([nearest_key(queries, self._all[name].tensors["keys"]) for name in names], dim=1)
        ranked = scores.argsort(dim=1, descending=True, stable=True)[:, :most].tolist()
        return [
            [Hit(names[place], float(row[place])) for place in order] for row, order in zip(scores, ranked, strict=True)
        ]

    def closed(self, pairs: bool) -> set[str]:
        """The prompts that do not answer such texts."""
        return {name for name, prompt in self._all.items() if pairs_of(prompt) not in (pairs, None)}

    def numbers(self, names: Sequence[str]) -> Tensor:
        """Places of prompts among all, [names]."""
        places = {name: place for place, name in enumerate(self._all)}
        return torch.tensor([places[name] for name in names], dtype=torch.long)


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

    def apart(self) -> "tuple[Kept, Kept]":
        """The first and the second half of the tasks."""
        half = len(self.texts) // 2
        return Kept(self.texts[:half], self.changed[:half]), Kept(self.texts[half:], self.changed[half:])

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


@dataclass(frozen=True)
class _Taught:
    """What does not change while a grown model learns, of the remembered texts of a task.

    Attributes:
        below: States of the grown model before its first layer that learns.
        targets: States of the old one, by after how many layers of the grown one they are to be found again.
        entered: States of the grown model, as the task's prompt reads the texts, before the layer `at`.
        at: Where the prompt enters, or the first layer that learns if that is lower.
        read: The texts as the prompt reads them.
        logits: What the prompt adds on the old model, [texts, labels].
    """

    below: KeptStates
    targets: Mapping[int, KeptStates]
    entered: KeptStates
    at: int
    read: EncodedTexts
    logits: Tensor


@dataclass
class Distillation:
    """The old model teaches the grown one on remembered texts.

        loss = mean over layers of |h' - C h|^2 / |C h|^2  +  mean (z' - z)^2

    with states h after each old layer from `first` on and their copies C h, the grown model's states h' there, and the
    logits z and z' that the task's prompt adds. The first keeps keys, grounds and routing, the second answers. What
    does not change is computed once.

    Attributes:
        old: The backbone before growth.
        new: The grown one, some of whose weights learn.
        plan: What was copied.
        first: The number of the grown model's first layer that learns.
        known: What must be kept.
        space: Where what is computed once lies.
    """

    old: Encoder
    new: Encoder
    plan: GrowthMap
    first: int
    known: Sequence[Known]
    space: Space = field(default_factory=lambda: Space(math.inf))
    _tasks: dict[int, _Taught] = field(default_factory=dict)

    def loss(self, task: int, rows: Tensor) -> Tensor:
        """The loss on some of a task's texts, a scalar."""
        if task not in self._tasks:
            self._tasks[task] = self._taught(self.known[task])
        taught = self._tasks[task]
        return self._states(taught, rows) + self._logits(taught, self.known[task].prompts.new, rows)

    def _states(self, taught: _Taught, rows: Tensor) -> Tensor:
        new, mask = taught.below.batch(rows)
        place, losses = self.first, []
        for behind, states in taught.targets.items():
            new = self.new.run(new, mask, place, behind)
            place = behind
            target = self.plan.residual.copied(states.batch(rows)[0], 2)[mask]
            losses.append((new[mask] - target).square().mean() / target.square().mean())
        return torch.stack(losses).mean()

    def _logits(self, taught: _Taught, prompt: Prompt, rows: Tensor) -> Tensor:
        logits = _prompt_logits(self.new, prompt, taught.read, rows, taught.entered, taught.at)
        return F.mse_loss(logits, taught.logits[rows])

    @torch.no_grad()
    def _taught(self, known: Known) -> _Taught:
        stack, pair = self.plan.reader, known.prompts
        texts = known.texts.tokenized(self.old)
        behind = {layer: stack.behind(layer) for layer in range(1, stack.old + 1)}
        layers = [layer for layer, place in behind.items() if place > self.first]
        old = self._before(self.old, texts, layers)
        read = _apart(pair.old)[0].texts(self.old, texts)
        entry = _apart(pair.old)[0].entry(self.old)
        at = min(self.first, _apart(pair.new)[0].entry(self.new))
        before = self._before(self.old, read, [entry])[entry]
        return _Taught(
            below=self._before(self.new, texts, [self.first])[self.first],
            targets={behind[layer]: old[layer] for layer in layers},
            entered=self._before(self.new, read, [at])[at],
            at=at,
            read=read,
            logits=_prompt_logits(self.old, pair.old, read, torch.arange(len(texts)), before, entry),
        )

    def _before(self, encoder: Encoder, texts: EncodedTexts, layers: Sequence[int]) -> dict[int, KeptStates]:
        """States of texts before some layers, in ascending order."""
        offsets = texts.ids.offsets
        found = {layer: self.space.zeros(len(texts.ids.values), encoder.width) for layer in layers}
        for rows in torch.arange(len(texts)).split(CHUNK):
            ids, mask, types = texts.batch(rows, encoder.pad_token)
            hidden, place = encoder.embed(ids, mask, types), 0
            for layer, values in found.items():
                hidden, place = encoder.run(hidden, mask, place, layer), layer
                values[offsets[rows[0]] : offsets[rows[-1] + 1]] = hidden[mask]
        return {layer: KeptStates(Ragged(values, offsets)) for layer, values in found.items()}


def _prompt_logits(
    encoder: Encoder, prompt: Prompt, texts: EncodedTexts, rows: Tensor, states: KeptStates, at: int
) -> Tensor:
    """What a prompt adds to the ground, [rows, labels], with gradients to the layers that learn.

    Args:
        encoder: The backbone.
        prompt: The prompt.
        texts: As the prompt reads them.
        rows: Which of them.
        states: Before the layer `at`, which no gradient reaches.
        at: Not behind the layer where the prompt enters.
    """
    tuning, _, tensors = _apart(prompt)
    entry = tuning.entry(encoder)
    hidden, mask = states.batch(rows)
    hidden = encoder.run(hidden, mask, at, entry)
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
