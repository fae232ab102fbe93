"""Progressive Prompts: each task adds a prompt in front of all earlier ones."""

from continual.limits import at_least
from continual.methods.base import UNRANKED, Learned, Lesson, Method
from continual.tuning.base import Tuning, trained_tensors
from continual.tuning.composed.base import OWN, of_part
from continual.tuning.composed.chain import Chain, chained
from continual.tuning.composed.reparametrised import Reparametrised


class Progressive(Method):
    """`[P_k ; P_{k-1} ; ... ; P_1 ; text]`, of which `P_k` is trained (Razdaibiedina et al. 2023, arXiv 2301.12314).

    The task must be known at prediction, or found by routing as for all prompts of a pool: every task keeps the chain
    that it was learned with. A chain grows with the stream, so memory and time of the k-th task grow with k. Each
    prompt starts from randomness of its task's own, as the published ones do from words drawn at random.

    Args:
        reparametrise: Units of a residual network through which the new prompt is seen in training and which is then
            folded into it; 0 leaves it out. The paper's choice for T5 is 800.
        links: How many earlier prompts are kept in front of the text at most, newest first; 0 keeps all.
    """

    name = "progressive"
    reads = UNRANKED
    builds = True

    def __init__(self, reparametrise: int = 0, links: int = 0) -> None:
        for name, value in (("reparametrise", reparametrise), ("links", links)):
            at_least(0, value, f"method.{name}")
        self.reparametrise, self.links = reparametrise, links

    def check_tuning(self, tuning: Tuning) -> None:
        """See `Method.check_tuning`."""
        Chain(tuning.spec())

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        spec = lesson.tuning.spec()
        chain = Chain(spec)
        own = [of_part(OWN, trained_tensors(prompt.tensors)) for prompt in lesson.earlier]
        start = lesson.fresh(own=True)
        tensors = chained(start, own[: self.links or None])
        if not self.reparametrise:
            return Learned(lesson.fit("student", tensors, tuning=chain), "student", origin=start)
        tuning = Reparametrised(spec, self.reparametrise)
        network = tuning.network(lesson.encoder.width, lesson.generator("reparametrisation"))
        model = lesson.fit("student", tensors | network, tuning=tuning)
        folded = lesson.begin(tuning.folded(model.tensors), chain, model.classifier)
        return Learned(folded, "student", origin=start, trained=model.size)
