"""Students: models that are trained themselves, and learn from teachers.

A *recipe* makes one kind of student. It is registered below and chosen by `kind` in a file of `configs/distil`; what
all kinds share (settings, kill and resume, the loop, stages, tracking) they need not know. See docs/students.md.
"""

from continual.registry import Registry

STUDENTS = Registry("kind of student")
STUDENTS.add(
    "fine_tuning",
    "continual.students.fine_tuning:FineTuning",
    "a translation model trained as a whole on one domain, without a teacher: what teachers are made by",
)
STUDENTS.add(
    "ckd",
    "continual.students.ckd:CKD",
    "a translation model improved by teachers that arrive one after another; plain distillation is a setting of it",
    "Zhang et al. 2023, continual knowledge distillation for NMT (arXiv 2212.09097); the formula is ours",
)
