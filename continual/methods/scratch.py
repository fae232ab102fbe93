"""Prompt tuning from scratch: what every transfer method is measured against."""

from continual.methods.base import UNRANKED, Learned, Lesson, Method


class Scratch(Method):
    """A fresh prompt, trained on the task's own texts (Lester et al. 2021, arXiv 2104.08691)."""

    name = "scratch"
    reads = UNRANKED

    def learn(self, lesson: Lesson) -> Learned:
        """See `Method.learn`."""
        return Learned(lesson.fit("student", lesson.fresh()), "student")
