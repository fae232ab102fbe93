"""Smaller models of a teacher's family: fewer layers, less width, the teacher's tokenizer."""

import copy
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from continual.backbone.encoder import Encoder
from continual.distillation.hidden import MAPS, layer_map
from continual.errors import BackboneError, ConfigError
from continual.limits import at_least
from continual.pretraining.optimisation import setting
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

RANDOM = "random"
STARTS = (*MAPS, RANDOM)

_INNER = {"gpt2": "n_inner", "distilbert": "hidden_dim"}
"""What families call the inner width where they do not call it `intermediate_size`."""

_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class ShapeConfig:
    """The shape of a student; what is null is as in the teacher."""

    layers: int = setting(3, "layers")
    width: int | None = setting(None, "width of the states; needs start=random where it is not the teacher's")
    heads: int | None = setting(None, "attention heads of a layer")
    inner: int | None = setting(None, "inner width of the feed-forward parts")
    path: str | None = setting(
        None, "folder of a student of the same teacher that was distilled before and learns on; its shape stays"
    )
    start: str = setting(
        "uniform",
        "weights at the start: those of the teacher's embeddings and of its uniform, first or last layers, or random",
    )

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "inner"):
            value = getattr(self, name)
            if value is not None:
                at_least(1, value, f"student.{name}")
        if self.start not in STARTS:
            raise ConfigError(f"student.start is {self.start!r}, expected one of {', '.join(STARTS)}.")

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the student; a digest of the files in the place of a path."""
        from continual.students.models import ModelSpec

        path = None if self.path is None else ModelSpec({"path": self.path}).identity()["path"]
        return asdict(self) | {"path": path}


def smaller(teacher: Encoder, shape: ShapeConfig, seed: int, name: str = "student") -> Encoder:
    """A model of the teacher's family with the teacher's tokenizer, ready to be trained.

    Args:
        teacher: An encoder or a causal model; it stays as it is.
        shape: The student's.
        seed: Decides random weights.
        name: What the student is called.

    Raises:
        BackboneError: The shape is impossible, or weights of another shape would have to be copied.
    """
    if type(teacher) is not Encoder and not _is_causal(teacher):
        raise BackboneError(
            f"The backbone {teacher.name!r} is an encoder-decoder, expected an encoder or a causal one."
        )
    if shape.path is not None:
        return trainable(_earlier(teacher, shape.path, name))
    config = _config(teacher.model.config, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "student", name))
        model = _made(teacher.model, config)
    if shape.start != RANDOM:
        _copy_layers(teacher.model, model, shape)
    return trainable(_same_kind(teacher, model, name))


def trainable(encoder: Encoder) -> Encoder:
    """The same object, whose weights can be learned. Nothing is dropped out: half of a layer's dropout is never run.

    An encoder's layers are run by `backbone.blocks`, which has no dropout; the embeddings' alone would be left.
    """
    encoder.model.requires_grad_(True)
    for module in encoder.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return encoder


def copied(encoder: Encoder, name: str) -> Encoder:
    """A trainable copy of a model."""
    return trainable(_same_kind(encoder, copy.deepcopy(encoder.model), name))


def without_last_layer(encoder: Encoder, seed: int) -> Encoder:
    """A model without its last layer, such as an auxiliary one that was of use in training alone."""
    layers = encoder.model.config.num_hidden_layers - 1
    return smaller(encoder, ShapeConfig(layers=layers, start="first"), seed, encoder.name)


def parameters(encoder: Encoder) -> int:
    """How many numbers a model has; shared ones count once."""
    return sum(value.numel() for value in encoder.model.parameters())


def _config(config: "PretrainedConfig", shape: ShapeConfig) -> "PretrainedConfig":
    config = copy.deepcopy(config)
    heads = shape.heads or config.num_attention_heads
    width = shape.width or config.hidden_size
    if width % heads:
        raise BackboneError(
            f"A student {width} wide cannot have {heads} heads of one size; choose student.width and student.heads so "
            "that one divides the other."
        )
    shared = getattr(config, "num_key_value_heads", None)
    if shared is not None:
        config.num_key_value_heads = max(shared * heads // config.num_attention_heads, 1)
        if heads % config.num_key_value_heads:
            raise BackboneError(
                f"{heads} heads cannot share {config.num_key_value_heads} keys; choose student.heads as a multiple."
            )
    if getattr(config, "head_dim", None) is not None:
        config.head_dim = width // heads
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: shape.layers]
    config.num_hidden_layers, config.hidden_size, config.num_attention_heads = shape.layers, width, heads
    if shape.inner is not None:
        setattr(config, _INNER.get(config.model_type, "intermediate_size"), shape.inner)
    return config


def _made(like: nn.Module, config: "PretrainedConfig") -> nn.Module:
    """A new model of the class of `like`."""
    import inspect

    kind = type(like)
    pooler = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}
    return kind(config, **pooler)


def _copy_layers(teacher: nn.Module, student: nn.Module, shape: ShapeConfig) -> None:
    mapped = layer_map(shape.start, shape.layers, teacher.config.num_hidden_layers)

    def counterpart(found: re.Match[str]) -> str:
        # Layer j of the student ends as state j + 1, and so does its counterpart.
        return f".{mapped[int(found[1]) + 1] - 1}."

    given, chosen = teacher.state_dict(), {}
    for name, value in student.state_dict().items():
        source = _LAYER.sub(counterpart, name, count=1)
        if source not in given or given[source].shape != value.shape:
            raise BackboneError(
                f"The student's {name} has the shape {tuple(value.shape)}, which the teacher has not; set "
                "student.start=random, or leave student.width, student.heads and student.inner as they are."
            )
        chosen[name] = given[source]
    student.load_state_dict(chosen)


def _is_causal(encoder: Encoder) -> bool:
    from continual.backbone.causal import Causal

    return isinstance(encoder, Causal)


def _earlier(teacher: Encoder, path: str, name: str) -> Encoder:
    from continual.backbone.catalog import hub
    from continual.backbone.generators import causal

    model = (causal if _is_causal(teacher) else hub)(path=path)
    if model.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise BackboneError(
            f"The student {path} has other tokens than its teacher {teacher.name!r}; give one that was made from it."
        )
    return _same_kind(teacher, model.model, name)


def _same_kind(encoder: Encoder, model: nn.Module, name: str) -> Encoder:
    """What the model is to be seen as, by the options of `encoder`."""
    if _is_causal(encoder):
        lengths = (encoder.max_length, encoder.max_target)
        return type(encoder)(model, encoder.tokenizer, name, *lengths, encoder.between, encoder.prefix)
    return Encoder(model, encoder.tokenizer, name, encoder.pooling, encoder.max_length)
