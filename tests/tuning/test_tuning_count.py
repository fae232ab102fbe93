"""How many numbers modules train: the published shares, and agreement with what is really trained."""

import pytest
from tuning_samples import FAMILIES, fresh

from continual.errors import BackboneError
from continual.tuning import build_tuning
from continual.tuning.count import Anatomy, compacter_parameters, layer_norm_parameters, lora_parameters


def trained(encoder, **spec) -> int:
    return sum(value.numel() for value in fresh(encoder, build_tuning(spec)).values())


@pytest.fixture(scope="module")
def t5_base() -> Anatomy:
    """T5-base as Compacter's code uses it: with as many words as its tokenizer has, 28 fewer than the checkpoint."""
    from transformers import T5Config

    sizes = {"d_model": 768, "d_ff": 3072, "d_kv": 64, "num_heads": 12, "num_layers": 12, "num_decoder_layers": 12}
    return Anatomy.of(T5Config(**sizes, vocab_size=32100))


def test_t5_base(t5_base):
    assert t5_base.total == 222_882_048
    assert (t5_base.width, t5_base.blocks) == (768, 24)
    assert t5_base.norms == 62 * 768  # 2 in each encoder block, 3 in each decoder block, 2 at the ends
    assert {name: len(found) for name, found in t5_base.linear.items()} == dict(
        zip(("query", "key", "value", "output", "up", "down"), (36, 36, 36, 36, 24, 24), strict=True)
    )


@pytest.mark.parametrize(
    ("options", "numbers", "percent"),
    [
        # One adapter: s and t 2 (768 + 24), biases 24 + 768, together 2,376. Twice in each of 24 blocks, 4^3 slow
        # weights, 62 layer norms of 768 gains.
        ({}, 48 * 2376 + 64 + 47_616, "0.073"),
        ({"after_attention": False}, 24 * 2376 + 64 + 47_616, "0.047"),
        ({"layer_norms": False}, 48 * 2376 + 64, "0.051"),
        ({"after_attention": False, "layer_norms": False}, 24 * 2376 + 64, "0.026"),
    ],
)
def test_the_published_shares_of_compacter(t5_base, options, numbers, percent):
    found = compacter_parameters(t5_base, **options)
    assert found == numbers
    assert f"{100 * found / t5_base.total:.3f}" == percent


def test_the_published_shares_of_compacter_in_numbers(t5_base):
    assert compacter_parameters(t5_base) == 161_728
    assert compacter_parameters(t5_base, after_attention=False) == 104_704


@pytest.mark.parametrize(
    ("sizes", "total", "norms", "lora"),
    [
        # 12 blocks with 2 norms of 768 gains and biases; LoRA 12 blocks, query and value, 8 (768 + 768).
        ({}, 109_482_240, 12 * 2 * 2 * 768, 12 * 2 * 8 * 1536),
        (
            {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
            335_141_888,
            24 * 2 * 2 * 1024,
            24 * 2 * 8 * 2048,
        ),
    ],
    ids=["base", "large"],
)
def test_bert(sizes, total, norms, lora):
    from transformers import BertConfig

    anatomy = Anatomy.of(BertConfig(**sizes))
    assert anatomy.total == total
    assert layer_norm_parameters(anatomy) == norms
    assert lora_parameters(anatomy) == lora
    assert round(100 * norms / total, 2) == 0.03  # LN-tuning's published share


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_are_what_is_trained(tiny_encoder, family):
    encoder = tiny_encoder(family)
    anatomy = Anatomy.of(encoder.model.config)
    assert layer_norm_parameters(anatomy) == trained(encoder, name="layer_norm")
    for targets in (["query", "value"], ["output", "up", "down"]):
        assert lora_parameters(anatomy, 3, targets) == trained(encoder, name="lora", rank=3, targets=targets)
    for norms in (True, False):
        for name, both in (("compacter", True), ("compacter_pp", False)):
            found = compacter_parameters(anatomy, 4, 2, both, norms)
            assert found == trained(encoder, name=name, reduction=4, phm_dim=2, layer_norms=norms)


def test_other_families_are_refused():
    from transformers import AlbertConfig

    with pytest.raises(BackboneError, match=r"families t5, bert, .*is of family 'albert'; give one of these"):
        Anatomy.of(AlbertConfig())
