"""Makes the signature of a prompt: one pass over the probe texts, once in a prompt's life."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from continual.backbone.encoder import Encoder
from continual.backbone.states import CHUNK, ComputedStates
from continual.backbone.texts import by_length
from continual.transfer.metrics import Signature
from continual.transfer.probe import PROBE_TEXTS
from continual.tuning.base import Tensors, Tuning

SIGNATURE = "signature."


class Prober:
    """Computes signatures on one backbone.

    Args:
        encoder: The backbone.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._texts = encoder.tokenize(PROBE_TEXTS)
        self._entered: dict[int, list[tuple[Tensor, Tensor]]] = {}
        self._start: tuple[dict[str, Any], Tensors, Tensor] | None = None

    @torch.no_grad()
    def signature(self, tuning: Tuning, tensors: Tensors, initial: Tensors, keys: Tensor) -> Signature:
        """The signature of a prompt.

        Args:
            tuning: Its kind.
            tensors: Its tensors.
            initial: The tensors that its task's untransferred trainings start from: what a prompt is before it
                has learned anything. A random start moves the last state far more than learning does, and in a
                direction that says nothing about the task.
            keys: The keys of its task's texts, [keys, width].
        """
        state = self._mean_state(tuning, tensors)
        shift = state - self._start_state(tuning, initial)
        return Signature(tuning.tokens(tensors).detach().clone(), shift, state, self.neurons(tuning, tensors), keys)

    @torch.no_grad()
    def renewed(self, old: Signature, tuning: Tuning, tensors: Tensors) -> Signature:
        """The signature of a new version of a prompt, which came from the same start as the version before it.

        Args:
            old: The signature of the version before.
            tuning: The prompt's kind.
            tensors: The tensors of the new version.
        """
        state = self._mean_state(tuning, tensors)
        start = old.state - old.shift
        tokens, neurons = tuning.tokens(tensors).detach().clone(), self.neurons(tuning, tensors)
        return Signature(tokens, state - start, state, neurons, old.keys)

    def _mean_state(self, tuning: Tuning, tensors: Tensors) -> Tensor:
        """Mean over the probe texts of the pooled last state, [width]."""
        encoder = self._encoder
        total = torch.zeros(encoder.width)
        for hidden, mask in self._probe(tuning.entry(encoder)):
            *_, last = tuning.layers(encoder, hidden, mask, tensors)
            total += encoder.pool(last, mask).sum(0)
        return total / len(self._texts)

    def _start_state(self, tuning: Tuning, initial: Tensors) -> Tensor:
        """`_mean_state` of an initial prompt; that of the last one is remembered, since all tasks of a run share it."""
        spec = tuning.spec()
        if self._start is None or self._start[0] != spec or not _equal(self._start[1], initial):
            self._start = (spec, initial, self._mean_state(tuning, initial))
        return self._start[2]

    def _probe(self, entry: int) -> list[tuple[Tensor, Tensor]]:
        """The probe texts as states before a layer with their masks, in batches; computed once for each layer."""
        if entry not in self._entered:
            states = ComputedStates(self._encoder, self._texts, entry)
            self._entered[entry] = [states.batch(rows) for rows in by_length(states.lengths, CHUNK)]
        return self._entered[entry]

    def neurons(self, tuning: Tuning, tensors: Tensors) -> Tensor:
        """Which feed-forward units the prompt switches on when there is no text, [units]; empty if not visible.

        Su et al. feed the prompt and one special token, and look at the units of that token's position in every
        layer. Units below the prompt's entry see the same in all prompts and are left out.
        """
        encoder = self._encoder
        if not encoder.stepwise:
            return torch.zeros(0)
        first = encoder.tokenizer.cls_token_id  # may be 0, as in RoBERTa
        start = torch.tensor([[encoder.pad_token if first is None else first]])
        mask = torch.ones_like(start, dtype=torch.bool)
        entry = tuning.entry(encoder)
        hidden = encoder.run(encoder.embed(start, mask), mask, stop=entry)
        seen: list[Tensor] = []
        # The text's one position is the last: soft tokens stand before it.
        with encoder.observing(lambda layer, activations: seen.append((activations[0, -1] > 0).float())):
            for _ in tuning.layers(encoder, hidden, mask, tensors):
                pass
        return torch.cat(seen)


def _equal(one: Tensors, other: Tensors) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def signature_tensors(signature: Signature) -> dict[str, Tensor]:
    """The parts of a signature that are stored beside the prompt's own tensors and keys."""
    return {
        f"{SIGNATURE}shift": signature.shift,
        f"{SIGNATURE}state": signature.state,
        f"{SIGNATURE}neurons": signature.neurons.to(torch.uint8),
    }


def stored_signature(tuning: Tuning, lent: Tensors, tensors: Mapping[str, Tensor]) -> Signature:
    """The signature of a stored prompt.

    Args:
        tuning: The tuning of what it lends.
        lent: That.
        tensors: Everything that is stored of it.
    """
    return Signature(
        tokens=tuning.tokens(lent),
        shift=tensors[f"{SIGNATURE}shift"],
        state=tensors[f"{SIGNATURE}state"],
        neurons=tensors[f"{SIGNATURE}neurons"],
        keys=tensors["keys"],
    )
