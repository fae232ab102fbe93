"""What stands between two domains, on disk: the model, its tokenizer, the memory and what was measured so far."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual._torchvision import declare_missing_operators
from continual.backbone.saving import save_model
from continual.files import new_folder, read_json, write_json
from continual.pretraining.lifelong.model import auto_class
from continual.pretraining.lifelong.texts import Window

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_RECORD, _MEMORY = "lifelong.json", "memory.json"


@dataclass
class State:
    """A model that has learned some domains.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer, symbols of domains included.
        is_new: Whether it began with random weights.
        learned: Names of the domains learned, in order.
        prompts: For each of them the tokens of its prompt.
        memory: For each of them the windows that are kept.
        losses: Their held-out losses when last measured, in nats for each token.
        matrix: Perplexities: a row before any domain and one after each.
        trainings: What was trained so far: stage, domain, steps, seconds, curve.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    is_new: bool
    learned: list[str] = field(default_factory=list)
    prompts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    memory: dict[str, list[Window]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    matrix: list[list[float | None]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)


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
            write_json(
                temporary / _MEMORY, {name: [window.ids for window in kept] for name, kept in state.memory.items()}
            )
            record = {
                name: getattr(state, name) for name in ("is_new", "learned", "prompts", "losses", "matrix", "trainings")
            }
            write_json(temporary / _RECORD, record)
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
            memory={name: [Window(tuple(ids)) for ids in kept] for name, kept in read_json(folder / _MEMORY).items()},
            prompts={name: tuple(ids) for name, ids in record.pop("prompts").items()},
            **record,
        )
