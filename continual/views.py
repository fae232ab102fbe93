"""Texts as the frozen backbone reads them, for what is trained and for what answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from continual.backbone.encoder import Encoder
from continual.backbone.frozen import FrozenCache, FrozenView
from continual.backbone.readout import Readout
from continual.backbone.texts import EncodedTexts

if TYPE_CHECKING:
    from datasets import Dataset


def texts_of(split: "Dataset", encoder: Encoder) -> EncodedTexts:
    """The texts of a task's split as token ids, each with its second text where the split has those."""
    pairs = list(split["text_pair"]) if "text_pair" in split.column_names else None
    return encoder.tokenize(list(split["text"]), pairs)


@dataclass(frozen=True)
class Views:
    """What the frozen backbone makes of texts.

    Attributes:
        encoder: The backbone.
        entry: The layer up to which all texts are alike, see `Tuning.entry`.
        readout: What heads read, unless another one is asked for.
        cache: Where views are kept.
        cache_mb: How much memory a view that is not kept may take.
    """

    encoder: Encoder
    entry: int
    readout: Readout
    cache: FrozenCache
    cache_mb: float

    def of(self, texts: EncodedTexts, keep: bool = True, readout: Readout | None = None) -> FrozenView:
        """The view of texts; kept in the cache where they will be used again."""
        cache = self.cache if keep else FrozenCache(self.encoder, self.cache_mb)
        return cache.view(texts, self.entry, readout or self.readout)

    def states(self, texts: EncodedTexts) -> FrozenView:
        """A view of texts that will be used again, of which the states before the prompt's layer alone are known."""
        return self.cache.view(texts, self.entry, Readout("none", terms=0), profiled=False)
