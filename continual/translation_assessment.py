"""Measures the pool on the tests of a stream of translations: one row of the matrices after each task."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from continual.answers import TranslationEvaluation
from continual.checks import writer_of
from continual.errors import RunError
from continual.evaluation.kinds import TRANSLATION, metric_of
from continual.evaluation.text_metrics import bleu, chrf
from continual.files import read_json, write_json
from continual.learner import Learner
from continual.pool.store import PromptPool
from continual.router import Route
from continual.storing import DIRECTION, serves
from continual.translator import NO_READOUT, UNTUNED, Sources

if TYPE_CHECKING:
    from streams import Task

SAMPLES = 5
"""Translations of each task that are kept to be looked at."""


@dataclass(frozen=True)
class TranslationScore:
    """How the pool did on one test split.

    Attributes:
        evaluation: The scores.
        prompts: For each source the id of the prompt that was used; None where the backbone was left alone.
        samples: Some sources with their references and translations.
        tokens: How many tokens were written for this, not counting what was remembered.
        seconds: What that took.
    """

    evaluation: TranslationEvaluation
    prompts: list[str | None]
    samples: list[tuple[str, str, str]]
    tokens: int
    seconds: float


@dataclass(frozen=True)
class _Test:
    """A test split.

    Attributes:
        sources: The sentences as the backbone reads them.
        profile: Of each sentence, [sentences, 2 * width].
    """

    sources: Sources
    profile: torch.Tensor


class TranslationAssessor:
    """Scores tasks on their test splits and remembers translations of prompts that cannot change.

    Args:
        learner: Whose pool is measured.
        memory: A file that keeps the translations over restarts, or None. What was translated once is never translated
            again in another batch, so that a resumed run gives the same bits.
    """

    def __init__(self, learner: Learner, memory: Path | None = None) -> None:
        self._learner, self._memory = learner, memory
        self._written: dict[str, list[str | None]] = _load(memory)
        self._tests: dict[str, _Test] = {}
        self._scored: dict[tuple[str, ...], CorpusScores] = {}

    def untaught(self, task: "Task") -> TranslationScore:
        """The backbone answers as it is, without any prompt."""
        return self._score(task, [UNTUNED] * len(task.test))

    def aware(self, task: "Task") -> TranslationScore:
        """The task is told: its newest prompt answers."""
        record = self._learner.directory.prompt_of(task.name)
        return self._routed(task, [Route(record.id, 1.0, True)] * len(task.test))

    def routed(self, task: "Task") -> TranslationScore:
        """The task is not told: every sentence is routed, see `Router.route`."""
        return self._routed(task, self._learner.directory.routes(self._test(task).profile, kind=TRANSLATION))

    def unseen(self, task: "Task", told: bool, hidden: Collection[str] = ()) -> TranslationScore | None:
        """A task that has not been learned, answered by the nearest prompts of its direction; None without any.

        Args:
            task: The task.
            told: Changes nothing: its own prompt, which could be told, is not there yet.
            hidden: Ids of prompts that must not answer.
        """
        pool = self._learner.pool
        strangers = {record.id for record in pool.records() if not same_direction(record.provenance, task.info)}
        exclude = strangers | self._learner.directory.closed_to(TRANSLATION) | set(hidden)
        if len(exclude) == len(pool):
            return None
        return self._routed(task, self._learner.directory.router.route(self._test(task).profile, exclude))

    def reread(self, tasks: "Iterable[Task]") -> None:
        """Forgets what the tasks' own prompts wrote and opens the pool on disk anew.

        The next `aware` scores are then measured on what is really stored, and not remembered.
        """
        for task in tasks:
            self._written.pop(_key(task.name, self._learner.directory.prompt_of(task.name).id), None)
        encoder = self._learner.encoder
        self._learner.use(PromptPool(self._learner.pool.path, encoder.fingerprint, read_only=True))

    def save(self) -> None:
        """Writes the remembered translations to disk."""
        if self._memory is not None and self._written:
            write_json(self._memory, self._written)

    def _routed(self, task: "Task", routes: Sequence[Route]) -> TranslationScore:
        records = {prompt: self._learner.pool.record(prompt) for prompt in {item.prompt for item in routes}}
        right = float(np.mean([serves(records[item.prompt], task.name) for item in routes]))
        return self._score(
            task, [item.prompt for item in routes], right, float(np.mean([not item.known for item in routes]))
        )

    def _score(
        self, task: "Task", prompts: list[str | None], right: float = 0.0, unknown: float = 0.0
    ) -> TranslationScore:
        test = self._test(task)
        hypotheses, tokens, seconds = self._hypotheses(task.name, test, prompts)
        evaluation = evaluation_of(self._scores(task, hypotheses), right, unknown)
        return TranslationScore(evaluation, prompts, samples(task, hypotheses), tokens, seconds)

    def _scores(self, task: "Task", hypotheses: Sequence[str]) -> "CorpusScores":
        """Scored once: a task that is told keeps its translations however many are learned after it."""
        key = (task.name, *hypotheses)
        if key not in self._scored:
            self._scored[key] = corpus_scores(task, hypotheses)
        return self._scored[key]

    def _hypotheses(self, task: str, test: _Test, prompts: Sequence[str | None]) -> tuple[list[str], int, float]:
        """For each sentence what its prompt makes of it; the tokens written for that now, and the seconds."""
        known = {prompt: self._remembered(task, prompt, len(prompts)) for prompt in set(prompts)}
        missing = [row for row, prompt in enumerate(prompts) if known[prompt][row] is None]
        tokens, seconds = 0, 0.0
        if missing:
            view = self._learner.views.of(test.sources.pieces, readout=NO_READOUT)
            wanted = [prompts[row] for row in missing]
            written = self._learner.translator.translate(test.sources, missing, wanted, view)
            tokens, seconds = written.tokens, written.seconds
            for row, prompt, text in zip(missing, wanted, written.texts, strict=True):
                known[prompt][row] = text
        return [known[prompt][row] or "" for row, prompt in enumerate(prompts)], tokens, seconds

    def _remembered(self, task: str, prompt: str | None, sentences: int) -> list[str | None]:
        """What a prompt made of each sentence of a task so far; changed in place."""
        return self._written.setdefault(_key(task, prompt), [None] * sentences)

    def _test(self, task: "Task") -> _Test:
        """The task's test sentences, read by the frozen model once."""
        if task.name not in self._tests:
            sources = Sources.of(writer_of(self._learner.encoder), list(task.test["text"]))
            profile = sources.profile(self._learner.views.of(sources.pieces, readout=NO_READOUT))
            self._tests[task.name] = _Test(sources, profile)
        return self._tests[task.name]


@dataclass(frozen=True)
class CorpusScores:
    """Translations of a whole test split against its references, from 0 to 1.

    Attributes:
        bleu: BLEU.
        chrf: chrF.
        own: The task's own metric.
    """

    bleu: float
    chrf: float
    own: float


def corpus_scores(task: "Task", hypotheses: Sequence[str]) -> CorpusScores:
    """The scores of translations of a task's test split, in the order of its sentences."""
    references, language = list(task.test["target"]), task.info.get("target_language")
    found = {metric: metric(references, hypotheses, language) for metric in (bleu, chrf)}
    own = metric_of(TRANSLATION, task.metric).function
    return CorpusScores(*found.values(), found[own] if own in found else own(references, hypotheses, language))


def evaluation_of(scores: CorpusScores, right: float = 0.0, unknown: float = 0.0) -> TranslationEvaluation:
    """The same with what was found of the routing.

    Args:
        scores: Of the translations.
        right: The share of sentences that went to what the task has learned.
        unknown: The share that was marked as belonging to no known task.
    """
    return TranslationEvaluation(scores.bleu, scores.chrf, routed_right=right, unknown=unknown, score=scores.own)


def samples(task: "Task", hypotheses: Sequence[str]) -> list[tuple[str, str, str]]:
    """Some test sentences, spread evenly, with references and translations; always the same ones."""
    rows = np.unique(np.linspace(0, len(hypotheses) - 1, SAMPLES).round().astype(int)).tolist()
    sources, references = list(task.test["text"]), list(task.test["target"])
    return [(sources[row], references[row], hypotheses[row]) for row in rows]


def same_direction(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tasks, by their `info` or the provenance of their prompts, have the same languages or may have."""
    directions = (one.get(DIRECTION), other.get(DIRECTION))
    return None in directions or directions[0] == directions[1]


def _key(task: str, prompt: str | None) -> str:
    return f"{task}/{'' if prompt is UNTUNED else prompt}"


def _load(memory: Path | None) -> dict[str, list[str | None]]:
    if memory is None or not memory.exists():
        return {}
    try:
        return dict(read_json(memory))
    except (ValueError, TypeError) as error:
        raise RunError(f"{memory} is damaged ({error}); delete it and resume the run, which makes it anew.") from error
