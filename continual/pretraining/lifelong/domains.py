"""The text domains of a stream: their texts, and their windows under one tokenizer."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from continual.pretraining.lifelong.texts import Frame, Window, windows
from streams.catalog import build_stream
from streams.task import SPLITS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Domains:
    """The domains of a stream in their order; labels, where a stream has any, are not looked at.

    Args:
        settings: Of the stream, as `streams.build_stream` takes them: `kind: texts` for plain text, or any other.
        seed: Of its order, caps and splits.
    """

    def __init__(self, settings: Mapping[str, Any], seed: int) -> None:
        self.stream = build_stream(settings, seed)

    @property
    def names(self) -> list[str]:
        """Names of the domains."""
        return list(self.stream.names)

    def texts(self, domain: str, split: str) -> list[str]:
        """The texts of a split; both texts of a pair, and source and target of a translation's, follow each other."""
        rows = self.stream.task(domain).split(split)
        texts = rows["text"][:]
        for column in ("text_pair", "target"):
            if column in rows.column_names:
                texts = [f"{first} {second}" for first, second in zip(texts, rows[column][:], strict=True)]
        return texts

    @cached_property
    def digest(self) -> dict[str, str]:
        """For each domain a SHA-256 over all its texts, wherever their files lie."""
        found = {}
        for name in self.names:
            digest = hashlib.sha256()
            for split in SPLITS:
                for text in self.texts(name, split):
                    digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
                digest.update(b"\1")
            found[name] = digest.hexdigest()
        return found


class Windows:
    """The windows of all domains under one tokenizer, made at first use.

    Args:
        domains: The texts.
        tokenizer: Of the model.
        frame: What stands around a text.
        max_length: Tokens of a framed window without a prompt.
    """

    def __init__(self, domains: Domains, tokenizer: "PreTrainedTokenizerBase", frame: Frame, max_length: int) -> None:
        self._domains, self._tokenizer, self._size = domains, tokenizer, max_length - frame.size
        self._kept: dict[tuple[str, str], list[Window]] = {}

    def of(self, domain: str, split: str) -> list[Window]:
        """The windows of a split."""
        if (domain, split) not in self._kept:
            texts = self._domains.texts(domain, split)
            self._kept[domain, split] = windows(self._tokenizer, texts, self._size, domain)
        return self._kept[domain, split]
