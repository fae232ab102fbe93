"""Models and tokenizers as ordinary Hugging Face folders, from which is loaded what was computed with."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from continual.backbone.kept import keep_opening, opening
from continual.files import storage_errors

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from continual.backbone.encoder import Encoder


def save_backbone(backbone: "Encoder", folder: Path) -> None:
    """Saves a backbone's model and tokenizer as `save_model` does, and beside them how it is opened.

    Raises:
        StorageError: The disk refused.
    """
    save_model(backbone.model, backbone.tokenizer, folder)
    keep_opening(opening(backbone), folder)


def save_model(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Saves a model and its tokenizer as `transformers` does; that the folder appears whole is up to the caller.

    Raises:
        StorageError: The disk refused.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Marian leaves its sinusoids out and draws them anew for its width; those of a wider model are copies.
    model._keys_to_ignore_on_save = None
    # A tokenizer that has cut and padded texts would write that down as its habit.
    words = copy.deepcopy(tokenizer)
    if words.is_fast:
        words.backend_tokenizer.no_padding()
        words.backend_tokenizer.no_truncation()
    with storage_errors(folder):
        model.save_pretrained(folder)
        words.save_pretrained(folder)
