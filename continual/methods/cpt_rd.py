"""CPT-RD: shared and domain-specific prompts, written by a hypernetwork that remembers the domains before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from continual.errors import ConfigError, LearningError
from continual.evaluation.kinds import CLASSIFICATION
from continual.limits import at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method, Revised, kept_tensors
from continual.pool.keys import nearest_key
from continual.pool.prompt import Prompt
from continual.predictor import Held, Predictor
from continual.seeding import seed_of
from continual.training.loop import Penalty
from continual.training.model import PromptModel
from continual.training.statistics import DRAWN, Statistics
from continual.transfer.signature import stored_signature
from continual.tuning.base import Tensors, Tuning, trained_tensors
from continual.tuning.composed.base import OWN, of_part, part
from continual.tuning.composed.chain import Chain, chained
from continual.tuning.composed.generated import EMBEDDING, NETWORK, SHARED, START, Generated

STARTS = ("random", "previous", "mean", "similar", "hypernetwork")

STATISTICS = "statistics"
"""The part of what is kept that tells of a domain's texts."""

_SURE = 2.0
"""A new version's loss must be lower by this many standard errors."""


class CptRd(Method):
    """Continual prompt-tuning for rumour detection (Zuo, Zhu and Cai 2022, COLING, arXiv 2203.11720).

    A domain's prompt is `[P_k ; P_shared]`. The shared part is trained with the first domain and frozen afterwards. A
    domain's own part is written by a task-conditioned prompt hypernetwork h from an embedding e_k of the domain, on top
    of a start that is not trained: `P_k = start_k + h(e_k)`, where `start_k` is such that P_k begins as the strategy of
    initialisation says, whatever h writes for a new embedding. Nothing of old texts is replayed; instead h must go on
    to write for the domains before what it wrote:

        loss = cross-entropy + consolidation / (k - 1) * sum_{j<k} || h(e_j) - h*(e_j) ||^2,   h* = h before domain k

    (von Oswald et al. 2020, arXiv 1906.00695). Forward transfer comes from the shared prompt, from h and from the
    initialisation. Backward transfer: what h now writes for an old domain becomes a new version of its prompt only if
    it is better on statistics kept of that domain: a loss that is lower by two standard errors over the clusters of its
    texts and no more errors, on token states drawn from them (`continual/training/statistics.py`). The old version
    stays in the pool.

    Only the abstract of the publication could be verified: the decoupling, the strategies of initialisation, the
    hypernetwork and that prompts are stored for each domain. The network's shape, the regulariser, the starts on which
    h is put, and the test for backward transfer are ours.

    Args:
        start: What a domain's prompt starts from: `random`, `previous` (the last domain's), `mean` (of all), `similar`
            (the one that does best on the new domain's dev texts; among domains of other labels, the one whose texts
            are nearest), `hypernetwork` (what h writes for the mean of all embeddings so far).
        consolidation: Weight of the hypernetwork's memory of earlier domains.
        embedding: Size of a domain's embedding.
        hidden: Units of the hypernetwork.
        backward: Whether old domains may get new versions.
    """

    name = "cpt_rd"
    reads = UNRANKED
    kinds = (CLASSIFICATION,)
    builds = True

    def __init__(
        self,
        start: str = "previous",
        consolidation: float = 1.0,
        embedding: int = 16,
        hidden: int = 64,
        backward: bool = True,
    ) -> None:
        if start not in STARTS:
            raise ConfigError(f"method.start is {start!r}, expected one of {', '.join(STARTS)}.")
        at_least(0, consolidation, "method.consolidation")
        self.start, self.consolidation, self.backward = start, consolidation, backward
        self.sizes = {"embedding": embedding, "hidden": hidden}
        Generated({"name": "deep"}, **self.sizes)  # refuses bad options before anything is learned

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        Generated(tuning.spec(), **self.sizes)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        domains = [Domain.of(prompt) for prompt in lesson.earlier]
        tuning = Generated(lesson.tuning.spec(), **self.sizes, train_shared=not domains)
        tensors = self._begin(lesson, tuning, domains)
        penalty = self._memory(tuning, tensors, domains) if domains and self.consolidation else None
        model = lesson.fit("student", tensors, tuning=tuning, penalty=penalty)
        trained = {name: value.detach() for name, value in model.tensors.items()}
        final = _settled(lesson, tuning, model, trained)
        statistics = Statistics.of(lesson.train, seed_of(lesson.seed, lesson.task, "statistics"))
        kept = trained | part(STATISTICS, statistics.tensors())
        revised = self._backward(lesson, tuning, trained, domains) if self.backward else []
        origin = lesson.fresh(own=True) if domains and self.start == "random" else None
        return Learned(final, "student", kept=kept, revised=revised, origin=origin, trained=model.size)

    def _begin(self, lesson: Lesson, tuning: Generated, domains: Sequence["Domain"]) -> dict[str, Tensor]:
        """Where the training of a domain starts."""
        generator = lesson.generator("hypernetwork")
        embedding = torch.randn(tuning.embedding, generator=generator)
        if not domains:
            begin = lesson.fresh()
            shared = lesson.tuning.initial(lesson.encoder, lesson.train.view.states, generator)
            network = tuning.network({name: value.shape for name, value in begin.items()}, generator)
            return tuning.beginning(begin, shared, network, embedding)
        newest = domains[0].kept
        self._check_network(newest)
        network = part(NETWORK, of_part(NETWORK, newest))
        if self.start == "hypernetwork":
            embedding = torch.stack([domain.kept[EMBEDDING] for domain in domains]).mean(0)
            starts = part(START, _mean([of_part(START, domain.kept) for domain in domains]))
            begin = tuning.prompt(starts | network | {EMBEDDING: embedding})
        else:
            begin = self._prompt(lesson, domains)
        return tuning.beginning(begin, of_part(SHARED, newest), network, embedding)

    def _check_network(self, kept: Tensors) -> None:
        """Refuses to go on with a network of another size than asked for."""
        task = next(value for name, value in of_part(NETWORK, kept).items() if name.endswith("-task"))
        hidden, embedding = task.shape
        if self.sizes != {"embedding": embedding, "hidden": hidden}:
            raise LearningError(
                f"The pool's prompts of method=cpt_rd were written by a network with method.hidden={hidden} and "
                f"method.embedding={embedding}; give these, or learn in a pool of its own."
            )

    def _prompt(self, lesson: Lesson, domains: Sequence["Domain"]) -> Tensors:
        """The prompt that a domain begins with, where the hypernetwork does not write it."""
        if self.start == "random":
            return lesson.fresh(own=True)
        if self.start == "previous":
            return domains[0].own
        if self.start == "similar":
            return min(domains, key=lambda domain: (domain.loss_on(lesson), -domain.likeness(lesson))).own
        return _mean([domain.own for domain in domains])

    def _memory(self, tuning: Generated, tensors: Tensors, domains: Sequence["Domain"]) -> Penalty:
        """What keeps the hypernetwork writing for earlier domains what it wrote before this one."""
        shapes = {name: value.shape for name, value in of_part(START, tensors).items()}
        embeddings = [domain.kept[EMBEDDING] for domain in domains]
        before = [tuning.written(tensors, embedding, shapes) for embedding in embeddings]

        def memory(model: PromptModel, rows: Tensor) -> Tensor:
            now = model.tensors
            total = torch.zeros(())
            for embedding, old in zip(embeddings, before, strict=True):
                new = tuning.written(now, embedding, shapes)
                total = total + sum(((new[name] - old[name]) ** 2).sum() for name in new)
            return self.consolidation / len(embeddings) * total

        return memory

    def _backward(
        self, lesson: Lesson, tuning: Generated, trained: Tensors, domains: Sequence["Domain"]
    ) -> list[Revised]:
        """New versions of those earlier prompts that the hypernetwork now writes better."""
        revised = []
        for domain in domains:
            written = tuning.prompt(
                part(START, of_part(START, domain.kept))
                | part(NETWORK, of_part(NETWORK, trained))
                | {EMBEDDING: domain.kept[EMBEDDING]}
            )
            tensors = chained(written, [of_part(SHARED, domain.kept)])
            evidence = domain.compare(lesson, tensors)
            if evidence["gain"] > _SURE * evidence["standard_error"] and (
                evidence["accuracy_after"] >= evidence["accuracy_before"]
            ):
                before = stored_signature(lesson.tuning, domain.own, domain.prompt.tensors)
                signature = lesson.prober.renewed(before, lesson.tuning, written)
                chain = Chain(lesson.tuning.spec())
                revised.append(Revised(domain.prompt.id, chain, tensors, signature, evidence))
        return revised


@dataclass(frozen=True)
class Domain:
    """An earlier domain as it lies in the pool.

    Attributes:
        prompt: Its stored prompt.
        own: Its own part of that, as tensors of the base tuning.
        kept: What the method has kept of its training.
    """

    prompt: Prompt
    own: Tensors
    kept: Tensors

    @classmethod
    def of(cls, prompt: Prompt) -> "Domain":
        """From the pool."""
        return cls(prompt, of_part(OWN, trained_tensors(prompt.tensors)), kept_tensors(prompt))

    def loss_on(self, lesson: Lesson) -> float:
        """How badly the domain's prompt and ground do on a new one's dev texts, in nats; infinite with other labels."""
        if set(self.prompt.labels) != set(lesson.labels):
            return math.inf
        view = lesson.dev.view
        predictor = Predictor(lesson.encoder, Held([self.prompt]))
        logits = torch.stack(predictor.logits(view, range(len(view)), [self.prompt.id] * len(view)))
        columns = [self.prompt.labels.index(label) for label in lesson.labels]
        return float(F.cross_entropy(logits[:, columns], lesson.dev.labels))

    def likeness(self, lesson: Lesson) -> float:
        """How near the domain's texts are to a new one's: the mean cosine of the new keys with the nearest old one."""
        return float(nearest_key(lesson.keys, self.prompt.tensors["keys"]).mean())

    def compare(self, lesson: Lesson, tensors: Tensors) -> dict[str, float]:
        """The stored prompt against `tensors` on the domain's statistics."""
        statistics = Statistics.stored(of_part(STATISTICS, self.kept))
        chain, seed = Chain(lesson.tuning.spec()), seed_of(lesson.seed, lesson.task, "backward")
        weight, bias = self.prompt.tensors["head.weight"], self.prompt.tensors["head.bias"]
        (before, right_before), (after, right_after) = (
            statistics.losses(lesson.encoder, chain, values, weight, bias, seed)
            for values in (trained_tensors(self.prompt.tensors), tensors)
        )
        # What is drawn around one cluster is no evidence of its own: clusters are what the domain was seen to vary by.
        gain = (before - after).view(DRAWN, -1).mean(0)
        return {
            "loss_before": float(before.mean()),
            "loss_after": float(after.mean()),
            "gain": float(gain.mean()),
            "standard_error": float(gain.std() / len(gain) ** 0.5) if len(gain) > 1 else math.inf,
            "accuracy_before": float(right_before.float().mean()),
            "accuracy_after": float(right_after.float().mean()),
        }


def _mean(prompts: Sequence[Tensors]) -> dict[str, Tensor]:
    return {name: torch.stack([one[name] for one in prompts]).mean(0) for name in prompts[0]}


def _settled(lesson: Lesson, tuning: Generated, model: PromptModel, trained: Tensors) -> PromptModel:
    """The same model with its prompt written out, which is what is stored."""
    tensors = chained(tuning.prompt(trained), [of_part(SHARED, trained)])
    return lesson.begin(tensors, Chain(lesson.tuning.spec()), model.classifier)
