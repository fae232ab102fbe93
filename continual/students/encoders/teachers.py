"""Teachers of encoders: as they come, and after they have learned the tasks."""

from pathlib import Path
from typing import TYPE_CHECKING

from continual.students.ingredients import Ingredients, to_device

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.students.encoders.classifier import Classifier
    from continual.students.stages import Stages


def seen_teacher(common: Ingredients) -> "Encoder":
    """The teacher as it comes, frozen.

    Raises:
        BackboneError: There is no such model, or its layers cannot be seen.
    """
    from continual.students.encoders.inside import require_layers

    teacher = common.teacher()
    require_layers(teacher)
    return teacher


def tuned_teacher(common: Ingredients, stages: "Stages") -> "Classifier":
    """The teacher after it has learned all tasks, with a head for each, frozen: the stage `fine_tuning`."""
    from continual.students.encoders.classifier import ClassificationObjective, Classifier
    from continual.students.encoders.labelled import encoded, rows_of
    from continual.students.smaller import copied

    encoder = copied(common.teacher(), "teacher")
    data, dev = (encoded(encoder, rows_of(common.tasks.tasks, split)) for split in ("train", "dev"))
    classifier = to_device(Classifier(encoder, common.labels, common.seed, "teacher"))
    stages.train(
        "fine_tuning",
        classifier,
        lambda: ClassificationObjective(classifier, classifier, data, dev),
        data.lengths,
        training=common.fine_tuning.of(common.training),
    )
    return classifier.requires_grad_(False)


def save_heads(common: Ingredients, classifier: "Classifier", folder: Path) -> None:
    """Writes `heads.safetensors`: for each task `NAME.weight` [labels, width] and `NAME.bias` [labels].

    They read a text's vector, as the backbone makes it.
    """
    from safetensors.torch import save_file

    tensors = {}
    for task, head in zip(common.tasks.tasks, classifier.heads, strict=True):
        tensors |= {f"{task.name}.weight": head.weight, f"{task.name}.bias": head.bias}
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(whole, folder / "heads.safetensors")
