"""L2P: one small pool of prompts with learned keys, shared by all tasks."""

from torch import Tensor

from continual.errors import ConfigError
from continual.limits import at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.methods.shared import Before
from continual.training.steered import SteeredModel
from continual.tuning.base import Tuning
from continual.tuning.composed.base import resized
from continual.tuning.composed.selection import Selection


class L2P(Method):
    """Learning to Prompt (Wang et al. 2022, arXiv 2112.08654).

    A text's vector under the frozen model picks the prompts whose keys are nearest; these and one classifier for all
    tasks are trained with `loss = cross-entropy - pull * (sum of the cosines with the picked keys)`. Nobody tells the
    task at prediction. While a task is trained, the outputs of other tasks' labels are left out, as in the released
    code. Later tasks change what earlier ones use, so this method can forget: that is what it is measured for.

    Differences: the released code makes all texts of a batch use the prompts that most of them picked; here every text
    has its own, also at prediction, which must not depend on what else is in the batch. The published pool is at the
    input; ours is of the configured tuning.

    Args:
        size: Prompts in the pool.
        top: How many of them a text gets.
        length: Tokens of each prompt.
        pull: Weight of the keys' loss.
    """

    name = "l2p"
    reads = UNRANKED
    grounded = False
    shared = True
    builds = True

    def __init__(self, size: int = 10, top: int = 5, length: int = 5, pull: float = 0.1) -> None:
        if length < 1:
            raise ConfigError(f"method.length is {length}, expected at least 1.")
        at_least(0, pull, "method.pull")
        self.size, self.top, self.length, self.pull = size, top, length, pull
        Selection({"name": "deep"}, size, top)  # refuses bad options before anything is learned

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        self.composed(tuning)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        before = Before.of(lesson)
        tuning = self.composed(lesson.tuning)
        fresh = lesson.generator("pool")
        tensors = before.tensors or tuning.initial(lesson.encoder, lesson.train.view.states, fresh)

        def pull(model: SteeredModel, rows: Tensor) -> Tensor:
            return -self.pull * tuning.pull(model.tensors, lesson.train.view.embedding[rows])

        model = lesson.fit("student", tensors, tuning=tuning, penalty=pull, classifier=before.start(lesson))
        shared, kept = before.after(lesson, model)
        return Learned(model, "student", kept=kept, shared=shared)

    def composed(self, tuning: Tuning) -> Selection:
        """See `Method.composed`."""
        return Selection(resized(tuning, self.length), self.size, self.top)
