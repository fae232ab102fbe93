"""Vocabularies of byte-level byte pairs, trained on the texts at hand.

Byte-level byte pairs (Sennrich et al. 2016, arXiv 1508.07909; Radford et al. 2019): every text can be written, none has
an unknown token, and decoding gives the text back but for runs of white space and the Unicode form. Their training adds
up whole numbers, so the same texts give the same vocabulary on any machine, which sums of probabilities would not
promise. Digits are single tokens, so that numbers can be copied.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def train_byte_pairs(texts: Iterable[str], size: int, special: Sequence[str], verbatim: bool = False) -> "Tokenizer":
    """A tokenizer without a template for special tokens.

    Args:
        texts: To learn from.
        size: Tokens at most, special ones and 256 bytes included.
        special: Special tokens, which get the first ids.
        verbatim: White space is kept as it is, for models that write several lines; else a run of it is one space
            and each text begins with one, so that words are the same tokens wherever they stand.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    spacing = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Prepend(" ")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), *([] if verbatim else spacing)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    strip = [] if verbatim else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), *strip])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
