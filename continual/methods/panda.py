"""PANDA: prompt transfer via knowledge distillation."""

from continual.errors import ConfigError
from continual.methods.base import Learned, Lesson, Method
from continual.methods.teaching import Teaching


class Panda(Method):
    """Distils target-like teachers into a fresh prompt (Zhong et al. 2022, arXiv 2208.10160).

    1. A prompt of the task's own is trained (the probe). It gives the task its place in the space in which the
       transferability metric compares it with the sources.
    2. The best sources are transferred: each is copied and trained on the target ("target-like teacher", prompt
       and head).
    3. A fresh prompt learns from the labels and from the teachers' logits:
       `loss = cross-entropy + sum_i c_i MSE(student, teacher_i)`, `c_i = weight * decay(progress) * max(0, score_i)`.

    The released code has the constant `0.1 * beta` for c, divides the mean squared error once more by the batch size,
    and keeps its decays commented out; that the weight follows the predicted transferability is the paper's text.
    The product of both is our reconstruction. `divide_by_batch` restores the code's scale.

    Args:
        sources: How many of the ranked sources become teachers.
        weight: Factor of the distillation loss at full transferability.
        decay: How the weight changes over training: `none`, `linear` (to zero), or `warm` (up over the first tenth,
            then linearly to zero), as in the released code.
        minimum_score: Sources that score lower do not become teachers.
        divide_by_batch: Divide the squared error by `training.batch_size` too, as the released code does.
    """

    name = "panda"

    def __init__(
        self,
        sources: int = 1,
        weight: float = 1.0,
        decay: str = "linear",
        minimum_score: float = 0.0,
        divide_by_batch: bool = False,
    ) -> None:
        if sources < 1:
            raise ConfigError(f"method.sources is {sources}, expected at least 1.")
        self.sources, self.minimum_score = sources, minimum_score
        self.teaching = Teaching(weight, decay, divide_by_batch)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        if not lesson.sources:
            return Learned(lesson.fit("student", lesson.fresh()), "student")
        probe = lesson.fit("probe", lesson.fresh())
        ranked = lesson.rank(probe)
        used = [item for item in ranked if item.score > self.minimum_score][: self.sources]
        if not used:  # nothing to learn from: the task's own prompt is the student
            return Learned(probe, "probe", ranked)
        return self.teaching.learn(lesson, ranked, used)
