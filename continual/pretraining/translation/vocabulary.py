"""One vocabulary of subwords for both languages, trained on the pool: see `byte_pairs`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from continual._torchvision import declare_missing_operators
from continual.pretraining.byte_pairs import train_byte_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, END, MASK = "<pad>", "</s>", "<mask>"
_WORD_START = "Ġ"
"""How a byte-level token shows that a space stands before it."""


def language_token(language: str) -> str:
    """The token before a source that asks for a translation into `language`, in the manner of OPUS-MT's models."""
    return f">>{language}<<"


def train_vocabulary(
    texts: Iterable[str], size: int, languages: Sequence[str], max_length: int
) -> "PreTrainedTokenizerFast":
    """A tokenizer with at most `size` tokens, as Hugging Face's library reads and writes them.

    Args:
        texts: Sentences of all languages.
        size: Tokens at most, special ones and 256 bytes included.
        languages: For each there is a token that asks for it.
        max_length: Tokens that the model's positions are made for.
    """
    declare_missing_operators()
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = train_byte_pairs(texts, size, [PAD, END, MASK, *map(language_token, languages)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        mask_token=MASK,
        additional_special_tokens=[language_token(language) for language in languages],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def word_starts(tokenizer: "PreTrainedTokenizerFast") -> list[bool]:
    """For each id whether its token begins a word, [vocabulary]."""
    return [token.startswith(_WORD_START) for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
