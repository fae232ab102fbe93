"""Vega v2's recipe: low-resource tasks get a prompt distilled from a related larger task, the others learn alone."""

from continual.limits import at_least
from continual.methods.base import Learned, Lesson, Method
from continual.methods.teaching import Teaching


class Vega(Method):
    """Knowledge-distillation-based prompt transfer for low-resource tasks (Zhong et al. 2022, arXiv 2212.01853).

    Vega v2 used prompt transfer on CB, COPA and WSC, tasks of some hundred texts, from related larger tasks, and
    trained its other tasks as usual. How a source is chosen and where "low-resource" ends is not said; this is ours:
    a task with fewer than `low_resource` training texts is helped, by the most transferable source that was learned
    from at least `larger` times as many texts. The distillation is that of prompt transfer by the same authors
    (arXiv 2208.10160): the source is adapted to the target, and a fresh prompt learns from its logits, with a
    weight that follows the predicted transferability. The other half of Vega v2, self-evolution, trains the
    backbone itself and has nothing to do with prompts.

    Args:
        low_resource: Tasks with fewer training texts are helped.
        larger: A source must have been learned from this many times the target's texts.
        weight: Factor of the distillation loss at full transferability.
        decay: How the weight changes over training: `none`, `linear` or `warm`.
    """

    name = "vega"

    def __init__(
        self, low_resource: int = 500, larger: float = 2.0, weight: float = 1.0, decay: str = "linear"
    ) -> None:
        for name, value in (("low_resource", low_resource), ("larger", larger)):
            at_least(0, value, f"method.{name}")
        self.low_resource, self.larger = low_resource, larger
        self.teaching = Teaching(weight, decay)

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        size = len(lesson.train)
        larger = {source.prompt for source in lesson.sources if source.train_examples >= self.larger * size}
        if size >= self.low_resource or not larger:
            return Learned(lesson.fit("student", lesson.fresh()), "student")
        probe = lesson.fit("probe", lesson.fresh())
        ranked = lesson.rank(probe)
        best = next((item for item in ranked if item.prompt in larger and item.score > 0), None)
        if best is None:
            return Learned(probe, "probe", ranked)
        return self.teaching.learn(lesson, ranked, [best])
