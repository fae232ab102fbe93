"""Loading a model and its tokenizer from a folder or the hub, and refusing what would give meaningless numbers."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual._torchvision import declare_missing_operators
from continual.errors import BackboneError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

OptionsOf = Callable[["PretrainedConfig"], Mapping[str, Any]]
"""`config -> options of from_pretrained`; it refuses by raising `BackboneError`."""


def found(path: str | None, backbone: str) -> tuple[str | Path, str]:
    """Where a model is, and what to call it.

    Args:
        path: A local folder or a name on the hub, as the user gave it.
        backbone: The backbone's name in configs.

    Raises:
        BackboneError: Nothing was given, or a folder that does not exist.
    """
    if not path:
        raise BackboneError(
            f"The backbone {backbone!r} needs the model's name or folder; add backbone.path=NAME_OR_FOLDER."
        )
    folder = Path(path).expanduser()
    if not folder.is_dir() and path.startswith((".", "/", "~")):
        raise BackboneError(
            f"There is no folder {folder}; give one with config.json, weights and tokenizer, or a name on the hub."
        )
    return (folder if folder.is_dir() else path), folder.name


def load(
    path: str | Path, auto_class: str, options_of: OptionsOf, tokenizer: Mapping[str, Any] | None = None, **options: Any
) -> "tuple[Module, PreTrainedTokenizerBase]":
    """A model in float32 and its tokenizer.

    Args:
        path: A local folder or a name on the hub.
        auto_class: The class of `transformers` that knows which model to make, such as `AutoModel`.
        options_of: Looks at the configuration before weights are loaded, and may add options.
        tokenizer: Options of the tokenizer.
        **options: Further options of `from_pretrained`.

    Raises:
        BackboneError: There is no such model, or model and tokenizer do not belong together.
    """
    model, words, missing = load_incomplete(path, auto_class, options_of, tokenizer, **options)
    check_complete(path, model, words, missing)
    return model, words


def load_incomplete(
    path: str | Path, auto_class: str, options_of: OptionsOf, tokenizer: Mapping[str, Any] | None = None, **options: Any
) -> "tuple[Module, PreTrainedTokenizerBase, set[str]]":
    """As `load`, and the names of the weights that the checkpoint lacks; the caller checks whether it may.

    Raises:
        BackboneError: There is no such model.
    """
    declare_missing_operators()
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the load report lists the unused pooler as a surprise
    # A GGUF file holds the tokenizer too, so that reading it takes seconds: the configuration is not read again.
    where = {"gguf_file": options.pop("gguf_file")} if "gguf_file" in options else {}
    if where:
        _hide_gguf_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(path, **where)
        where |= {"config": config} if where else {}
        model, report = getattr(transformers, auto_class).from_pretrained(
            path, dtype="float32", output_loading_info=True, **options_of(config), **options, **where
        )
        words = transformers.AutoTokenizer.from_pretrained(path, **(tokenizer or {}), **where)
    except BackboneError:
        raise
    except Exception as error:
        # Damaged files make transformers, safetensors and tokenizers raise what they like, Exception itself included.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BackboneError(
            f"Could not load the backbone {str(path)!r} ({reason}); give a folder with config.json, weights and "
            "tokenizer, or a hub name while the network is up."
        ) from error
    return model, words, set(report["missing_keys"])


def _hide_gguf_bar() -> None:
    """Takes away the progress bar of GGUF files, which is none of those that `transformers` switches off."""
    from transformers import modeling_gguf_pytorch_utils as reading

    reading.tqdm = lambda tensors, **options: tensors


def check_complete(path: str | Path, model: "Module", tokenizer: "PreTrainedTokenizerBase", missing: set[str]) -> None:
    """Refuses what loads without a complaint and would give meaningless features.

    Args:
        path: Where the model is from, for the message.
        model: The model.
        tokenizer: Its tokenizer.
        missing: Weights that the checkpoint lacks.

    Raises:
        BackboneError: Weights are missing, or model and tokenizer do not belong together.
    """
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


def check_file(path: Path, sha256: str, advice: str) -> None:
    """Refuses a file that is not the published one.

    Args:
        path: The file.
        sha256: The published SHA-256, in hexadecimal digits.
        advice: What to do, such as `run: python -m pip install ...`.

    Raises:
        BackboneError: The file cannot be read or is another.
    """
    try:
        with open(path, "rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BackboneError(f"Could not read {path} ({error.strerror}); {advice}.") from error
    if own != sha256:
        raise BackboneError(
            f"The weights {path} have SHA-256 {own[:12]}..., expected the published {sha256[:12]}...; {advice}."
        )


def package_folder(module: str, package: str, advice: str) -> Path:
    """The folder of an installed package, which is found and never imported.

    Args:
        module: Its name in Python.
        package: Its name in the registry.
        advice: What to do where it is missing.

    Raises:
        BackboneError: It is not installed.
    """
    import importlib.util

    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise BackboneError(f"The embedded backbone needs the package {package}, which is not installed; {advice}.")
    return Path(spec.origin).parent
