"""Tiny generative models of each family with random weights and real tokenizers, made without any network."""

from pathlib import Path

import torch
from tiny_models import HEADS, INNER, POSITIONS, WIDTH, _byte_pairs, _pieces, redraw

from continual._torchvision import declare_missing_operators

SEQ2SEQ = ("marian", "t5", "mt5", "bart", "mbart")
CAUSAL = ("gpt2", "llama")

DEPTH, DECODER_DEPTH = 3, 2
KEY_WIDTH = {"t5": HEADS * 6, "mt5": HEADS * 6, "llama": WIDTH // 2}
"""Width of keys where it is not that of the states: T5's heads may be of any size, Llama shares keys among heads."""

SOURCES = ("Police confirmed that one person was injured.", "Great value", "?", "", "The soup was cold and rude.")
TARGETS = ("The plane disappeared.", "", "one person", "The waiter was cold.", "noon")

_MARKS = (("bos", "s"), ("eos", "/s"), ("unk", "unk"), ("pad", "pad"))

LANGUAGES = {"source_language": "en_XX", "target_language": "de_DE"}


def save_tiny_generator(family: str, folder: Path, seed: int = 0) -> Path:
    """Writes a tiny model of `family` and its tokenizer to `folder`, as `save_pretrained` does."""
    declare_missing_operators()
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    tokenizer = _tokenizer(family)
    auto = AutoModelForCausalLM if family in CAUSAL else AutoModelForSeq2SeqLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto.from_config(_config(family, tokenizer))
        redraw(model)
        # Ends of texts are likely now and unlikely then, so that targets are of many lengths.
        model.get_output_embeddings().weight.data[tokenizer.eos_token_id] *= 2
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _config(family: str, tokenizer: object) -> object:
    from transformers import AutoConfig

    tokens = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    bart = {
        "d_model": WIDTH,
        "encoder_layers": DEPTH,
        "decoder_layers": DECODER_DEPTH,
        "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS,
        "encoder_ffn_dim": INNER,
        "decoder_ffn_dim": INNER,
        "max_position_embeddings": POSITIONS,
        "scale_embedding": family != "bart",
        "forced_eos_token_id": None,
        "decoder_start_token_id": tokenizer.pad_token_id if family == "marian" else tokenizer.eos_token_id,
    }
    t5 = {
        "d_model": WIDTH,
        "num_layers": DEPTH,
        "num_decoder_layers": DECODER_DEPTH,
        "num_heads": HEADS,
        "d_kv": 6,
        "d_ff": INNER,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 12,
        "feed_forward_proj": "gated-gelu" if family == "mt5" else "relu",
        "tie_word_embeddings": family != "mt5",
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    gpt2 = {"n_embd": WIDTH, "n_layer": DEPTH, "n_head": HEADS, "n_inner": INNER, "n_positions": POSITIONS}
    llama = {
        "hidden_size": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "tie_word_embeddings": False,
    }
    sizes = {"t5": t5, "mt5": t5, "gpt2": gpt2, "llama": llama}.get(family, bart)
    return AutoConfig.for_model(family.removesuffix("50"), **sizes, **tokens)


def _tokenizer(family: str) -> object:
    from transformers import GPT2Tokenizer, MBart50Tokenizer, MBartTokenizer, RobertaTokenizer, T5Tokenizer

    vocab, merges = _byte_pairs()
    if family == "bart":
        return RobertaTokenizer(vocab=vocab, merges=merges)
    if family == "gpt2":
        return GPT2Tokenizer(vocab=vocab | {"<|endoftext|>": len(vocab)}, merges=merges)
    if family == "llama":
        return GPT2Tokenizer(vocab=vocab, merges=merges, **{f"{name}_token": f"<{mark}>" for name, mark in _MARKS})
    if family in ("mbart", "mbart50"):
        kind = MBartTokenizer if family == "mbart" else MBart50Tokenizer
        return kind(vocab=_pieces(), src_lang="en_XX", tgt_lang="de_DE")
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    pieces = special + [piece for piece in _pieces() if not piece[0].startswith("<")]
    return T5Tokenizer(vocab=pieces, extra_ids=0)
