"""Growing a model, or the pool of a run, outside a stream: what `continual grow` does."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from continual.backbone.kept import keep_opening, kept_opening, opening
from continual.backbone.saving import save_backbone, save_model
from continual.errors import BackboneError, PoolError
from continual.files import held_alone, new_folder, read_json, remove_unfinished
from continual.growth.change import Difference, difference
from continual.growth.expansion import Expansion
from continual.growth.generations import MODEL, POOL
from continual.growth.lineage import BACKBONE, Lineage
from continual.growth.maps import GrowthMap
from continual.growth.models import grown_encoder, load_like, without_pooler
from continual.growth.pools import carry_pool
from continual.growth.sizes import Amount
from continual.growth.weights import check_growable, grown, plan, sizes_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

Refusal = type[BackboneError] | type[PoolError]

_TAKEN = "{} exists already; give a new folder."
_CHANGE = 1e-4
"""The largest change of an exact growth, as a part of the largest output: more than rounding and epsilons make."""


def grow_model(source: str, out: Path, expansion: Expansion, amount: Amount, seed: int) -> dict[str, Any]:
    """Grows a model and saves it as a Hugging Face folder, with the map beside it.

    Args:
        source: A named backbone, a folder or a name on the hub; a language model keeps its head.
        out: The new folder.
        expansion: How.
        amount: By how much.
        seed: Decides what is random.

    Returns:
        What was done: sizes, parameters, and how much the outputs have changed.

    Raises:
        BackboneError: There is no such model, it cannot grow or not exactly, or `out` exists or is being made.
        ConfigError: The expansion cannot make a model of that size.
    """
    from continual.pretraining.lifelong.memory import copy_memory

    started = time.monotonic()
    _require_free(out, BackboneError)
    model, tokenizer, name, how = _opened(source)
    chosen = plan(model, expansion, amount, seed)
    with _new(out, BackboneError) as temporary:
        larger = grown(model, chosen, expansion.noise, seed)
        change = _change(model, larger, tokenizer, chosen, expansion)
        facts = _facts(model, larger, expansion, amount, seed) | {"change": vars(change)}
        origin = facts | {"seconds": time.monotonic() - started}
        lineage = Lineage(_digest(model), name, _digest(larger), f"{name}+", chosen, origin)
        save_model(larger, tokenizer, temporary)
        copy_memory(Path(source), temporary)  # tokens and prompts mean to the grown model what they meant
        if how is not None:
            keep_opening(how, temporary)
        lineage.write(temporary)
    return origin | {"folder": str(out)}


def grow_pool(source: Path, out: Path, expansion: Expansion, amount: Amount, seed: int) -> dict[str, Any]:
    """Grows the backbone of a run or pool and carries its prompts over, into `out/model` and `out/pool`.

    The source stays as it is. Arguments and errors are those of `grow_model`; besides:

    Raises:
        PoolError: There is no pool, its backbone cannot be told, or `out` exists or is being made.
        LearningError: A prompt is of a kind that cannot be carried over.
    """
    from continual.deployment import open_learner

    started = time.monotonic()
    _require_free(out, PoolError)
    learner = open_learner(source)
    old = learner.encoder
    check_growable(old.model, expansion, amount)
    with _new(out, PoolError) as temporary:
        new, chosen = grown_encoder(old, expansion, amount, seed)
        change = _change(old.model, new.model, old.tokenizer, chosen, expansion)
        facts = _facts(old.model, new.model, expansion, amount, seed) | {"change": vars(change)}
        facts |= {"prompts": len(learner.pool), BACKBONE: opening(new)}
        save_backbone(new, temporary / MODEL)
        loaded = load_like(old, temporary / MODEL, new.name)
        origin = facts | {"seconds": time.monotonic() - started}
        lineage = Lineage(old.fingerprint, old.name, loaded.fingerprint, new.name, chosen, origin)
        lineage.write(temporary / MODEL)
        carry_pool(learner.pool, temporary / POOL, loaded, lineage)
    return origin | {"folder": str(out)}


def _require_free(out: Path, error: Refusal) -> None:
    """Refuses at once what `_new` would refuse when all is computed."""
    if out.exists():
        raise error(_TAKEN.format(out))


@contextlib.contextmanager
def _new(out: Path, error: Refusal) -> Iterator[Path]:
    """A folder that becomes `out` when it is whole. Nobody else makes it meanwhile, and what was killed has gone.

    Raises:
        BackboneError, PoolError: `out` exists, or is being made.
    """
    refusal = error(f"{out} is being made by another process; wait for it, or give another folder.")
    with held_alone(out.parent / f".{out.name}.lock", out, refusal):
        remove_unfinished(out)
        try:
            with new_folder(out) as temporary:
                yield temporary
        except FileExistsError:
            raise error(_TAKEN.format(out)) from None


def _facts(old: nn.Module, new: nn.Module, expansion: Expansion, amount: Amount, seed: int) -> dict[str, Any]:
    return {
        "how": expansion.name,
        "amount": vars(amount),
        "seed": seed,
        "family": old.config.model_type,
        "from": sizes_of(old).to_json() | {"parameters": _parameters(old)},
        "to": sizes_of(new).to_json() | {"parameters": _parameters(new)},
    }


def _change(
    old: nn.Module, new: nn.Module, tokenizer: "PreTrainedTokenizerBase", chosen: GrowthMap, expansion: Expansion
) -> Difference:
    """How far growth has changed what is computed.

    Raises:
        BackboneError: It has, though the expansion promises that it does not.
    """
    found = difference(old, new, tokenizer, chosen)
    if expansion.exact and not found.largest <= _CHANGE * found.scale:
        raise BackboneError(
            f"The {found.what} of the grown model differ by {found.largest:.1e}, of at most {found.scale:.1e}, but "
            f"exact growth changes no more than {_CHANGE:.0e} of that: something is not what growing a "
            f"{old.config.model_type} takes it for; grow another model, or by elle."
        )
    return found


def _parameters(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def _digest(model: nn.Module) -> str:
    """SHA-256 over names and values of a model's weights."""
    import hashlib

    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _opened(source: str) -> "tuple[nn.Module, PreTrainedTokenizerBase, str, dict[str, Any] | None]":
    """A model with whatever head its checkpoint has, its tokenizer, its name, and how it is opened if that is known."""
    from continual.backbone import BACKBONES
    from continual.backbone.pretrained import found, load

    if source in BACKBONES and source not in ("hub", "seq2seq", "causal"):
        encoder = BACKBONES.load(source)()
        return encoder.model, encoder.tokenizer, encoder.name, opening(encoder)
    where, name = found(source, "grow")
    chosen: list[str] = []

    def options_of(config: "PretrainedConfig") -> Mapping[str, Any]:
        return {} if chosen[0] != "AutoModel" or _has_pooler(where) else without_pooler(config)

    chosen.append(_auto_class(where))
    model, tokenizer = load(where, chosen[0], options_of)
    return model.eval().requires_grad_(False), tokenizer, name, kept_opening(Path(where))


def _auto_class(where: str | Path) -> str:
    """The class of `transformers` that loads a checkpoint with its language model head."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(where)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BackboneError(
            f"Could not read the model {str(where)!r} ({reason}); give a folder with config.json and weights, a named "
            "backbone, a run or a pool."
        ) from error
    architecture = (getattr(config, "architectures", None) or [""])[0]
    if config.is_encoder_decoder:
        return "AutoModelForSeq2SeqLM"
    if architecture.endswith("ForMaskedLM"):
        return "AutoModelForMaskedLM"
    return "AutoModelForCausalLM" if architecture.endswith(("ForCausalLM", "LMHeadModel")) else "AutoModel"


def _has_pooler(where: str | Path) -> bool:
    """Whether a checkpoint holds a trained pooler, the layer on a BERT's first token."""
    return any("pooler." in name for name in _weight_names(str(where)))


def _weight_names(where: str) -> Iterable[str]:
    """The names of a checkpoint's weights: in one file or in several, as safetensors or as torch once wrote them."""
    from safetensors import safe_open
    from transformers.utils import cached_file

    def path_of(name: str) -> str | None:
        try:
            return cached_file(where, name)
        except OSError:
            return None

    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        if index := path_of(name):
            return read_json(Path(index))["weight_map"]
    if path := path_of("model.safetensors"):
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    path = path_of("pytorch_model.bin")
    return torch.load(path, map_location="meta", weights_only=True) if path else ()
