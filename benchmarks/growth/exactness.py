"""How much an expansion changes what a model computes: families x {depth, width, both} x {exact, elle}.

All is measured in single precision, as a part of the largest output.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

_AMOUNTS = {"depth": {"layers": 2}, "width": {"width": 1}, "both": {"layers": 2, "width": 1}}
"""What is added; width in multiples of the model's own."""

_ENCODERS = {
    "bert": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256},
    "roberta": {"layer_norm_eps": 1e-5, "type_vocab_size": 1},
    "mpnet": {"layer_norm_eps": 1e-5},
}
_SIDES = {
    f"{side}_{name}": value
    for side in ("encoder", "decoder")
    for name, value in (("layers", 4), ("attention_heads", 4), ("ffn_dim", 256))
}
_GENERATORS = {
    "marian": {"d_model": 64, **_SIDES, "decoder_start_token_id": 1, "scale_embedding": True},
    "t5": {"d_model": 64, "d_kv": 16, "d_ff": 256, "num_layers": 4, "num_heads": 4, "decoder_start_token_id": 0},
    "gpt2": {"n_embd": 64, "n_layer": 4, "n_head": 4},
    "llama": {
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
        "tie_word_embeddings": True,
    },
}


_DEVIATION = 0.2
"""Of random weights; Hugging Face's is 0.02."""

REAL = ("minilm", "flan-t5-small", "smollm2-135m")
"""Backbones that come in packages; one that is not installed is left out."""


def exactness(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The largest change of any output, on models with random weights and on real ones.

    Args:
        folders: Encoders besides those that come in packages.
    """
    rows = []
    for name, model, tokenizer in (*_random_models(), *_real_models(folders)):
        for grown, amount in _AMOUNTS.items():
            row = {"model": name, "grown": grown} | {how: _change(model, tokenizer, how, amount) for how in _hows()}
            rows.append(row)
            shown = ", ".join(f"{how} {row[how]['largest'] / row[how]['scale']:.1e}" for how in _hows())
            print(f"{name:14} {grown:6} {shown}  (parts of {row['exact']['scale']:.1f}, {row['exact']['what']})")
    return rows


def _hows() -> list[str]:
    from continual.growth import EXPANSIONS

    return EXPANSIONS.names()


def _change(model: Any, tokenizer: Any, how: str, amount: dict[str, int]) -> dict[str, Any]:
    from continual.growth import EXPANSIONS
    from continual.growth.change import difference
    from continual.growth.sizes import Amount
    from continual.growth.weights import grown, plan, sizes_of

    expansion = EXPANSIONS.load(how)()
    added = amount | {"width": amount.get("width", 0) * sizes_of(model).width}
    chosen = plan(model, expansion, Amount(**added))
    return vars(difference(model, grown(model, chosen, expansion.noise), tokenizer, chosen))


def _random_models() -> Iterator[tuple[str, Any, Any]]:
    """One of every family, with MiniLM's vocabulary."""
    import torch
    import transformers

    from continual.backbone import BACKBONES

    words = BACKBONES.load("minilm")().tokenizer
    for family, sizes in {**_ENCODERS, **_GENERATORS}.items():
        shared = {"vocab_size": len(words), "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
        base = _ENCODERS["bert"] if family in _ENCODERS else {}
        config = transformers.AutoConfig.for_model(family, **(shared | base | sizes))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            auto = "AutoModel" if family in _ENCODERS else "AutoModelForCausalLM"
            auto = "AutoModelForSeq2SeqLM" if family in ("marian", "t5") else auto
            model = _drawn_anew(getattr(transformers, auto).from_config(config)).eval()
        yield f"{family}, random", model, words


def _drawn_anew(model: Any) -> Any:
    """The model with weights far from initial ones, with which attention is even and all norms are alike.

    Not farther: a T5, which does not scale its attention, would make a thousand times as much of every rounding.
    """
    import torch

    for name, value in model.named_parameters():
        is_gain = ("norm" in name.lower() or "ln_" in name) and name.endswith("weight")
        torch.nn.init.normal_(value, mean=1.0 if is_gain else 0.0, std=_DEVIATION)
    return model


def _real_models(folders: Sequence[Path]) -> Iterator[tuple[str, Any, Any]]:
    """Those that are installed, and those in folders, by the names of these."""
    from continual.backbone import BACKBONES
    from continual.backbone.catalog import hub
    from continual.errors import BackboneError

    makers = [*((name, BACKBONES.load(name)) for name in REAL), *((it.name, partial(hub, str(it))) for it in folders)]
    for name, make in makers:
        try:
            encoder = make()
        except BackboneError as error:
            print(f"left out: {error}")
            continue
        yield name, encoder.model, encoder.tokenizer
