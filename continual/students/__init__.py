"""Students: models that are trained themselves, and learn from teachers.

A *recipe* makes one kind of student. It is registered below and chosen by `kind` in a file of `configs/distil`; what
all kinds share (settings, kill and resume, the loop, stages, tracking) they need not know. See docs/students.md.
"""

from continual.registry import Registry

STUDENTS = Registry("kind of student", "continual.students")
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
STUDENTS.add(
    "tinybert",
    "continual.students.encoders.tinybert:TinyBert",
    "a smaller encoder that learns its teacher's layers, in general and for tasks, from augmented texts",
    "Jiao et al. 2020, TinyBERT (arXiv 1909.10351)",
)
STUDENTS.add(
    "disco",
    "continual.students.encoders.disco:Disco",
    "a smaller encoder whose vectors of texts lie where its teacher's lie, then contrasted by triplets",
    "Gao et al. 2021, DistilCSE, first called DisCo (arXiv 2112.05638)",
)
STUDENTS.add(
    "fsd",
    "continual.students.encoders.fsd:Fsd",
    "a smaller encoder that learns a tuned teacher's answers and the structure of its features; a student without a "
    "teacher is a setting of it",
    "Jung et al. 2023, feature structure distillation (arXiv 2204.08922)",
)
STUDENTS.add(
    "online",
    "continual.students.encoders.online:Online",
    "several smaller encoders, taught through an assistant while their teacher itself learns the tasks",
    "Wang et al. 2021, ERNIE 3.0 Titan (arXiv 2112.12731)",
)
STUDENTS.add(
    "in_context",
    "continual.students.in_context.recipe:InContext",
    "a smaller causal model that learns to use demonstrations as its teacher does",
    "Huang et al. 2022, in-context learning distillation (arXiv 2212.10670)",
)
