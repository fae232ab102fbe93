"""What students that translate have in common: their pairs, the likelihood they learn by, their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from continual.backbone.generation import Decoding
from continual.backbone.likelihood import IGNORED
from continual.backbone.parallel import Parallel
from continual.backbone.text_to_text import TextToText, unfreeze
from continual.backbone.texts import by_length
from continual.errors import ConfigError
from continual.evaluation.corpus_scores import bleu_noise, bleu_statistics, corpus_scores
from continual.limits import at_least
from continual.pretraining.optimisation import setting
from continual.translator import plain

if TYPE_CHECKING:
    import datasets

    from streams import Task

_BATCH = 32
_SAMPLES = 3


@dataclass(frozen=True)
class TranslatingConfig:
    """How sources are given to the models, and how translations are scored."""

    prefix: str = setting("", "what every source begins with, such as `translate English to German: ` for T5")
    beams: int = setting(4, "width of the beam search")
    max_new_tokens: int = setting(128, "longest translation, in tokens")
    test: int | None = setting(None, "test pairs that are translated, the first of them; null for all")

    def __post_init__(self) -> None:
        for name in ("beams", "max_new_tokens", "test"):
            value = getattr(self, name)
            if value is not None:
                at_least(1, value, f"translating.{name}")

    @property
    def decoding(self) -> Decoding:
        """How translations are searched for."""
        return Decoding(beams=self.beams, max_new_tokens=self.max_new_tokens)


def encode(model: TextToText, split: "datasets.Dataset") -> Parallel:
    """The pairs of a task's split as the model reads them."""
    return model.parallel_texts(split["text"][:], split["target"][:])


def lengths(pairs: Parallel) -> Tensor:
    """Tokens of the longer side of each pair, [pairs]."""
    return torch.maximum(pairs.texts.ids.lengths, pairs.targets.lengths)


@dataclass(frozen=True)
class Batch:
    """Pairs on the device of the models; see `Parallel.batch`."""

    ids: Tensor
    mask: Tensor
    targets: Tensor

    @classmethod
    def of(cls, pairs: Parallel, rows: Tensor, model: TextToText) -> "Batch":
        """The pairs `rows`."""
        return cls(*(tensor.to(model.model.device) for tensor in pairs.batch(rows, model.pad_token)))

    @property
    def said(self) -> Tensor:
        """The target tokens that are real, one after the other, [positions]."""
        return self.targets[self.targets != IGNORED]

    def logits(self, model: TextToText) -> Tensor:
        """What a model says at each of them, given the source and the tokens before: [positions, vocabulary]."""
        return model.token_logits(model.embed(self.ids, self.mask), self.mask, self.targets).float()

    def log_probs(self, model: TextToText) -> Tensor:
        """The same as logarithms of probabilities, [positions, vocabulary]."""
        return torch.log_softmax(self.logits(model), dim=-1)


@torch.inference_mode()
def held_out_loss(model: TextToText, pairs: Parallel) -> float:
    """Mean negative log-likelihood of the pairs' target tokens, in nats; the model has to be in evaluation mode."""
    nats, tokens = 0.0, 0
    for rows in by_length(lengths(pairs), _BATCH):
        batch = Batch.of(pairs, rows, model)
        nats += float(cross_entropy(batch.logits(model), batch.said, reduction="sum"))
        tokens += len(batch.said)
    return nats / tokens


def measured(model: TextToText, task: "Task", dev: Parallel, config: TranslatingConfig) -> dict[str, Any]:
    """What is measured of a student after each step, JSON-able.

    Args:
        model: The student.
        task: Whose test texts it translates.
        dev: What its loss is measured on.
        config: How it translates, and how many texts.

    Returns:
        `bleu`, `chrf` and their `signatures` on test, `statistics` of each test sentence (see `bleu_statistics`), some
        `samples` (source, translation, reference), and `dev_loss` in nats for each token.
    """
    test, language = task.test, task.info.get("target_language")
    count = len(test) if config.test is None else min(config.test, len(test))
    sources, references = test["text"][:count], test["target"][:count]
    written = plain(model, sources, config.decoding)
    samples = list(zip(sources, written, references, strict=True))[:_SAMPLES]
    return {
        **corpus_scores(written, references, language),
        "statistics": bleu_statistics(written, references, language).tolist(),
        "samples": [list(sample) for sample in samples],
        "dev_loss": held_out_loss(model, dev),
    }


def row(after: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, float]:
    """The numbers of a step for a table.

    Args:
        after: What `measured` gave after it.
        before: What it gave before; then `bleu_change` is told, and the `noise` within which it means nothing.
    """
    numbers = {name: after[name] for name in ("bleu", "chrf", "dev_loss")}
    if before is None:
        return numbers
    change = after["bleu"] - before["bleu"]
    noise = bleu_noise(*(np.array(one["statistics"]) for one in (before, after)))
    return {**numbers, "bleu_change": change, "noise": noise}


def prepared(model: TextToText, config: TranslatingConfig, trained: bool = False) -> TextToText:
    """The model on the GPU if there is one, behind its prefix, and unfrozen if it is to be trained.

    The prefix of the settings is the student's, and that of a teacher that has none of its own.
    """
    model.model.to("cuda" if torch.cuda.is_available() else "cpu")
    if trained:
        unfreeze(model.model)
        model.prefix = config.prefix or model.prefix
    else:
        model.prefix = model.prefix or config.prefix
    return model


def check_vocabulary(student: TextToText, teacher: TextToText, setting: str) -> None:
    """Refuses a teacher whose predictions mean nothing to the student.

    Args:
        student: Whose tokens the texts are made of.
        teacher: Of any size or architecture.
        setting: Which setting names the teacher, for the message.

    Raises:
        ConfigError: Their vocabularies differ, or they write tokens of different numbers.
    """
    own, other = student.tokenizer.get_vocab(), teacher.tokenizer.get_vocab()
    sizes = [model.model.get_output_embeddings().weight.shape[0] for model in (student, teacher)]
    if own != other or sizes[0] != sizes[1]:
        raise ConfigError(
            f"{setting} is {teacher.name!r} with {len(other)} tokens ({sizes[1]} logits), expected the student's own "
            f"{len(own)} ({sizes[0]} logits); choose a teacher with the student's vocabulary."
        )


def check_targets(own: Parallel, other: Parallel, setting: str) -> None:
    """Refuses a teacher that writes the same targets in other tokens, so that positions do not correspond.

    Args:
        own: The transfer set as the student reads it.
        other: The same as the teacher reads it.
        setting: Which setting names the teacher, for the message.

    Raises:
        ConfigError: The targets differ.
    """
    same = torch.equal(own.targets.offsets, other.targets.offsets)
    if not (same and torch.equal(own.targets.values, other.targets.values)):
        raise ConfigError(
            f"{setting} writes the same targets in other tokens than the student (end marks, or how much is written at "
            "most); choose a teacher with the student's tokenizer and limits."
        )


def shown(scores: Mapping[str, Any]) -> str:
    """BLEU and chrF for a line."""
    return f"BLEU {scores['bleu']:.2f}, chrF {scores['chrf']:.2f}"
