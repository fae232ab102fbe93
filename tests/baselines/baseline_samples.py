"""Small learnable streams for baselines on the tiny encoders."""

from pathlib import Path

from cue_tasks import SIZES, TASKS, Cues

from continual.backbone.encoder import Encoder
from continual.baselines import BASELINES
from continual.baselines.base import Bench
from continual.construction import construct
from continual.participant import LearnedTask, Participant, TaskScores
from continual.settings import LearnerSettings, RoutingConfig
from continual.training.checkpoint import FolderCheckpoints
from continual.training.config import TrainingConfig
from continual.training.watch import Silent, Watcher
from streams import StreamManager, Task

TRAINING = TrainingConfig(epochs=8, min_steps=0, batch_size=6, patience=0, dropout=0.0)
RATE = 3e-3


def stream(*tasks: str, **sizes: int) -> StreamManager:
    return StreamManager(Cues(tasks or tuple(TASKS), SIZES | sizes))


def opened(
    name: str, folder: Path, encoder: Encoder, tasks: StreamManager | None = None, seed: int = 0, **options: object
) -> Participant:
    """A baseline at work in `folder`; `options` may hold settings of the training too."""
    fields = TrainingConfig.__dataclass_fields__.keys() - {"learning_rate", "head_learning_rate"}
    training = {key: options.pop(key) for key in list(options) if key in fields}
    if name != "linear_probe":
        options = {"learning_rate": RATE} | options
    settings = LearnerSettings(
        method={"name": name, **options},
        training=TrainingConfig(**{**vars(TRAINING), **training}),
        routing=RoutingConfig(keys=4),
        seed=seed,
    )
    baseline = construct(BASELINES, name, options, "method")
    return baseline.open(Bench(folder, encoder, settings, tasks or stream()))


Row = dict[str, TaskScores]


def learn(participant: Participant, tasks: StreamManager, folder: Path, stop: int | None = None) -> list[tuple]:
    """Learns tasks as a run does: for each how it was learned, how it was met, and the row of scores after it."""
    found = []
    for position, name in enumerate(tasks.names[:stop]):
        task = tasks.task(name)
        met = participant.unseen(task, position)
        learned = step(participant, task, position, folder)
        scores = {other: participant.scores(tasks.task(other), position + 1) for other in tasks.names[: position + 1]}
        found.append((learned, met, scores))
    return found


def step(
    participant: Participant, task: Task, position: int, folder: Path, watcher: Watcher | None = None
) -> LearnedTask:
    """Learns one task with its checkpoints in the folder."""
    checkpoints = FolderCheckpoints(folder / "checkpoint" / f"{position:04d}")
    return participant.learn(task, position, checkpoints, watcher or Silent())
