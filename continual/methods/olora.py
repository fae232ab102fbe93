"""O-LoRA: each task adds low-rank directions that are orthogonal to those of the tasks before."""

from torch import Tensor

from continual.limits import at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.methods.shared import Before
from continual.training.steered import SteeredModel
from continual.tuning.base import Tuning
from continual.tuning.composed.base import EARLIER, OWN, part
from continual.tuning.composed.low_rank_sum import LowRankSum


class OLora(Method):
    """Orthogonal low-rank adaptation (Wang et al. 2023, Findings of EMNLP, arXiv 2310.14152).

    Each task trains a LoRA pair of its own while those of earlier tasks are frozen; at prediction all are summed, and
    nobody tells the task:

        loss = cross-entropy + orthogonality * sum_{i<t} sum |A_i^T A_t| + decay * |A_t, B_t|^2

    One classifier serves all tasks; outputs of other tasks' labels are left out in training. Needs `tuning=lora`.
    The released code's usual weights are 0.5 and 0; its decay is that of the norms themselves, ours of their squares.
    A task's A starts from noise of its own, nearly orthogonal to the earlier ones, and its B from zero.

    Args:
        orthogonality: Weight of the overlap with earlier input directions.
        decay: Weight of the squared norm of the new pair.
    """

    name = "olora"
    reads = UNRANKED
    grounded = False
    shared = True
    builds = True

    def __init__(self, orthogonality: float = 0.5, decay: float = 0.0) -> None:
        for name, value in (("orthogonality", orthogonality), ("decay", decay)):
            at_least(0, value, f"method.{name}")
        self.orthogonality, self.decay = orthogonality, decay

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        self.composed(tuning)

    def composed(self, tuning: Tuning) -> LowRankSum:
        """See `Method.composed`."""
        return LowRankSum(tuning.spec())

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        before = Before.of(lesson)
        tuning = self.composed(lesson.tuning)
        earlier = tuning.joined(before.tensors) if before.tensors else {}
        tensors = part(EARLIER, earlier) | part(OWN, lesson.fresh(own=True))

        def penalty(model: SteeredModel, rows: Tensor) -> Tensor:
            size = sum((value**2).sum() for value in model.prompt.values()) if self.decay else 0.0
            return self.orthogonality * tuning.overlap(model.tensors) + self.decay * size

        model = lesson.fit("student", tensors, tuning=tuning, penalty=penalty, classifier=before.start(lesson))
        shared, kept = before.after(lesson, model)
        return Learned(model, "student", kept=kept, shared=shared)
