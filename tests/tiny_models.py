"""Tiny encoders of many families with random weights and real tokenizers, made without any network.

Every weight is redrawn far from its initial value, biases and layer norms too: with Hugging Face's own
initialisation attention is nearly uniform and all norms are alike, and swapped modules would go unnoticed.
"""

from pathlib import Path

import torch

from continual._torchvision import declare_missing_operators
from continual.transfer.probe import PROBE_TEXTS

BLOCKWISE = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "mpnet", "distilbert")
"""Families whose layers are run one by one."""

WHOLE = ("albert", "modernbert", "deberta-v2")
"""Families that are run as a whole."""

WIDTH, DEPTH, HEADS, INNER, POSITIONS = 32, 3, 4, 48, 66

TEXTS = (
    "Police confirmed that one person was injured.",
    "Great value",
    "The plane disappeared from radar shortly before noon, sources tell us.",
    "?",
    "The soup was cold and the waiter was rude.",
    "",
)
PAIRS = ("Was one person hurt?", "fast delivery", "", "Why do cats purr when they are stroked?", "Cold soup.", "")


def save_tiny(family: str, folder: Path, seed: int = 0) -> Path:
    """Writes a tiny model of `family` and its tokenizer to `folder`, as `save_pretrained` does."""
    declare_missing_operators()
    from transformers import MODEL_MAPPING

    tokenizer = _tokenizer(family)
    config = _config(family, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODEL_MAPPING[type(config)](config)
        redraw(model)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def redraw(model: torch.nn.Module) -> None:
    """Draws all weights anew: matrices and biases around 0, the scales of norms around 1."""
    for name, value in model.named_parameters():
        scale = ("norm" in name.lower() or "ln_" in name) and name.endswith("weight")
        torch.nn.init.normal_(value, mean=1.0 if scale else 0.0, std=0.3)


def _config(family: str, tokenizer: object) -> object:
    from transformers import AutoConfig

    sizes = {
        "hidden_size": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "hidden_act": "gelu",
    }
    special = {
        "distilbert": {"dim": WIDTH, "n_layers": DEPTH, "n_heads": HEADS, "hidden_dim": INNER, "activation": "gelu"},
        "electra": {"embedding_size": 16},
        "roberta": {"type_vocab_size": 1},
        "xlm-roberta": {"type_vocab_size": 1},
        "camembert": {"type_vocab_size": 1},
        "albert": {"embedding_size": WIDTH},
        "modernbert": {"hidden_activation": "gelu", "local_attention": 8, "global_attn_every_n_layers": 2},
    }.get(family, {})
    if family == "distilbert":
        sizes = {name: sizes[name] for name in ("max_position_embeddings", "vocab_size", "pad_token_id")}
    return AutoConfig.for_model(family, **sizes, **special)


def _tokenizer(family: str) -> object:
    from transformers import BertTokenizer, MPNetTokenizer, RobertaTokenizer, XLMRobertaTokenizer

    if family == "roberta":
        vocab, merges = _byte_pairs()
        return RobertaTokenizer(vocab=vocab, merges=merges)
    if family in ("xlm-roberta", "camembert"):
        return XLMRobertaTokenizer(vocab=_pieces())
    if family == "mpnet":
        return MPNetTokenizer(vocab=_words(("<s>", "<pad>", "</s>", "[UNK]", "<mask>")))
    return BertTokenizer(vocab=_words(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")))


def _words(special: tuple[str, ...]) -> dict[str, int]:
    """A WordPiece vocabulary: special tokens, characters, and the words of the probe."""
    text = " ".join(PROBE_TEXTS).lower()
    characters = sorted({*text, *"0123456789!#@'"} - {" "})
    words = sorted(set("".join(c if c.isalnum() else " " for c in text).split()))
    tokens = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters), *words])
    return {token: number for number, token in enumerate(tokens)}


def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level BPE vocabulary trained on the probe, and its merges."""
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(PROBE_TEXTS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def _pieces() -> list[tuple[str, float]]:
    """A unigram vocabulary: special tokens, characters, and the words of the probe."""
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    text = " ".join(PROBE_TEXTS)
    words = sorted({f"▁{word}" for word in text.split()})
    characters = sorted({*text, "▁"} - {" "})
    tokens = dict.fromkeys([*special, *characters, *words])
    return [(token, 0.0 if token in special else -1.0 if len(token) > 1 else -9.0) for token in tokens]
