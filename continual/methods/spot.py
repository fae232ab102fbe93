"""SPoT: start the new prompt from an old one."""

import math

from continual.methods.base import Learned, Lesson, Method


class Spot(Method):
    """Soft prompt transfer, targeted variant (Vu et al. 2022, arXiv 2110.07904).

    The target's own prompt is trained first, because most transferability metrics compare prompts; the target's
    final prompt then starts from the best-ranked source. Prompts are transferred, heads are not, so the label
    spaces of the two tasks may differ.
    """

    name = "spot"

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        if not lesson.sources:
            return Learned(lesson.fit("student", lesson.fresh()), "student")
        probe = lesson.fit("probe", lesson.fresh())
        ranked = lesson.rank(probe)
        best = ranked[0]
        if not math.isfinite(best.score):  # the metric could compare none of them
            return Learned(probe, "probe", ranked)
        student = lesson.fit("student", lesson.tensors_of(best.prompt))
        return Learned(student, "student", ranked, [best])
