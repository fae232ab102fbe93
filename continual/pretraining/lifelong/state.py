"""What stands between two domains, on disk: the model, its tokenizer, the memory and what was measured so far."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual._torchvision import declare_missing_operators
from continual.backbone.saving import save_model
from continual.files import new_folder, read_json, write_json
from continual.pretraining.lifelong.memory import Kept, PastDomains, read_memory, write_memory
from continual.pretraining.lifelong.model import auto_class

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_RECORD = "lifelong.json"
_FACTS = ("is_new", "earlier", "learned", "prompts", "losses", "matrix", "earlier_matrix", "trainings")


@dataclass
class State:
    """A model that has learned some domains.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer, symbols of domains included.
        is_new: Whether it began with random weights.
        earlier: Names of the domains that the model had learned before, and of which its memory came along.
        learned: Names of the domains learned since, in order.
        prompts: For each of both the tokens of its prompt.
        memory: What is kept of each, where the strategy keeps anything.
        losses: Their held-out losses when last measured, in nats for each token.
        matrix: Perplexities of the stream's domains: a row before any domain and one after each.
        earlier_matrix: The same of the earlier domains that the stream does not have, on what is kept of them.
        trainings: What was trained so far: stage, domain, steps, seconds, curve.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    is_new: bool
    earlier: list[str] = field(default_factory=list)
    learned: list[str] = field(default_factory=list)
    prompts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    memory: dict[str, Kept] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    matrix: list[list[float | None]] = field(default_factory=list)
    earlier_matrix: list[list[float]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def past(self) -> list[str]:
        """All domains learned so far, in the order in which they were last learned."""
        return [*(name for name in self.earlier if name not in self.learned), *self.learned]

    def write_memory(self, folder: Path) -> None:
        """Stores the memory in a folder that exists."""
        write_memory(folder, PastDomains(self.memory, self.prompts, self.losses))


class States:
    """The last state in a folder; a state is there whole or not at all.

    Args:
        folder: Where they lie.
        kind: Of the model.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind

    def save(self, state: State) -> None:
        """Keeps `state` and removes earlier ones."""
        place = self._folder / f"{len(state.learned):04d}"
        with new_folder(place) as temporary:
            save_model(state.model, state.tokenizer, temporary)
            state.write_memory(temporary)
            write_json(temporary / _RECORD, {name: getattr(state, name) for name in _FACTS})
        for entry in self._folder.iterdir():
            if entry != place:
                shutil.rmtree(entry, ignore_errors=True)

    def last(self) -> State | None:
        """The state with most domains, or None."""
        found = sorted(path for path in self._folder.glob("[0-9]*") if path.is_dir())
        if not found:
            return None
        declare_missing_operators()
        import transformers

        folder = found[-1]
        model = getattr(transformers, auto_class(self._kind)).from_pretrained(folder, dtype="float32")
        record = read_json(folder / _RECORD)
        return State(
            model=model,
            tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
            memory=read_memory(folder).kept,
            prompts={name: tuple(ids) for name, ids in record.pop("prompts").items()},
            **record,
        )
