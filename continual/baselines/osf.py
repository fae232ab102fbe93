"""Orthogonal subspace fine-tuning by PEFT: the only module that knows PEFT."""

import warnings

from torch import nn

from continual.baselines.model import Classifier


def divide(model: Classifier, preserved: float) -> None:
    """Leaves only the smaller singular directions of the body's linear layers, and the classifier, to be trained.

    Args:
        model: Changed in place; it computes what it did before.
        preserved: Share of the singular directions of every layer that stay as they are.
    """
    from peft import OSFConfig, get_peft_model

    config = OSFConfig(effective_rank=preserved, target_modules="all-linear")
    with warnings.catch_warnings():
        # PEFT asks the model for a property by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
        model.body = get_peft_model(model.body, config)


def unite(model: Classifier) -> None:
    """Adds up what `divide` took apart: plain weights again.

    PEFT's documentation takes the layers off by `unload` between two tasks, which in its version 0.21 forgets what was
    trained, since training no longer changes the weights themselves.
    """
    body: nn.Module = model.body.merge_and_unload()
    model.body = body.requires_grad_(True)
