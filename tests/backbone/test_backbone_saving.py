"""What is saved computes, once it is loaded, what was computed with."""

import copy

import pytest
import torch
from generator_samples import example_batch

from continual.backbone.generators import seq2seq
from continual.backbone.saving import save_model
from continual.growth.exact import Exact
from continual.growth.models import grown_encoder
from continual.growth.sizes import Amount


def logits(backbone):
    ids, mask, targets = example_batch(backbone)
    with torch.no_grad():
        return backbone.logits(backbone.embed(ids, mask), mask, targets)


@pytest.mark.parametrize("width", [0, 32])
@pytest.mark.parametrize("family", ["marian", "t5"])
def test_a_grown_model_is_loaded_as_it_was_saved(tiny_generator, tmp_path, family, width):
    larger, _ = grown_encoder(tiny_generator(family), Exact(), Amount(layers=2, width=width), seed=0)
    save_model(larger.model, larger.tokenizer, tmp_path)
    again = seq2seq(path=str(tmp_path), max_length=larger.max_length, max_target=larger.max_target)
    assert torch.equal(logits(again), logits(larger))
    assert again.fingerprint == larger.fingerprint


def test_cutting_and_padding_do_not_become_a_habit(tiny_encoder, tmp_path):
    from transformers import AutoTokenizer

    encoder = tiny_encoder("bert")
    words = copy.deepcopy(encoder.tokenizer)
    words(["one", "one two three"], padding=True, truncation=True, max_length=4)
    save_model(encoder.model, words, tmp_path)
    saved = AutoTokenizer.from_pretrained(tmp_path).backend_tokenizer
    assert saved.padding is saved.truncation is None
    assert words.backend_tokenizer.truncation is not None, "the given one is left as it is"
