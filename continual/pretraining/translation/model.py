"""The model that is trained from scratch: a small Marian.

Of the encoder-decoders that `AutoModelForSeq2SeqLM` loads, Marian needs least: decoding starts from the padding token,
so there is no token of its own to begin with; positions are fixed sines, so there is nothing of them to learn; one
matrix embeds both languages and gives the logits. BART learns its positions and reserves two of them, T5 counts
relative buckets and scales its logits in its own way, and both keep special tokens that would have no use here.
"""

from typing import TYPE_CHECKING

import torch

from continual._torchvision import declare_missing_operators
from continual.pretraining.translation.config import EvaluationConfig, ModelConfig
from continual.seeding import seed_of

if TYPE_CHECKING:
    from transformers import MarianMTModel, PreTrainedTokenizerFast

POSITIONS = 512
"""Longest text in tokens that the model can read or write; positions are computed, so they cost nothing."""


def new_model(
    config: ModelConfig, evaluation: EvaluationConfig, tokenizer: "PreTrainedTokenizerFast", seed: int
) -> "MarianMTModel":
    """A model with random weights.

    Args:
        config: Its shape.
        evaluation: How it translates unless it is told otherwise.
        tokenizer: Its vocabulary.
        seed: Decides the weights.
    """
    declare_missing_operators()
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    shape = MarianConfig(
        vocab_size=len(tokenizer),
        d_model=config.width,
        encoder_layers=config.encoder_layers,
        decoder_layers=config.decoder_layers,
        encoder_attention_heads=config.heads,
        decoder_attention_heads=config.heads,
        encoder_ffn_dim=config.inner,
        decoder_ffn_dim=config.inner,
        dropout=config.dropout,
        activation_function="relu",
        max_position_embeddings=POSITIONS,
        # Embeddings are scaled by the root of the width, so this gives them and the tied logits a deviation of 1.
        scale_embedding=True,
        init_std=config.width**-0.5,
        pad_token_id=pad,
        eos_token_id=end,
        forced_eos_token_id=end,
        decoder_start_token_id=pad,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "model"))
        model = MarianMTModel(shape)
    model.generation_config = GenerationConfig(
        pad_token_id=pad,
        eos_token_id=end,
        forced_eos_token_id=end,
        decoder_start_token_id=pad,
        num_beams=evaluation.beams,
        max_new_tokens=evaluation.max_new_tokens,
        # No translation holds a special token; only the end may be one.
        suppress_tokens=sorted(set(tokenizer.all_special_ids) - {end}),
    )
    return model
