"""Continual distillation of translation models: which positions a teacher knows better, and what is learned of each.

After Zhang et al. 2023, "Continual Knowledge Distillation for Neural Machine Translation" (ACL 2023, arXiv 2212.09097).
What is known of the published method: positions of the transfer set are divided by comparing a quality of the teacher's
and of the previous student's prediction of the reference token (entropy, match of the most probable token, or its
probability, which is chosen); ordinary distillation where the teacher is better, a negative loss elsewhere, and
inheritance from the previous student with a weight that grows over the steps. **The published formula is not available
to us: the terms below are ours.**

*Positions* are the real tokens of all targets of a batch, one after the other; a model's prediction of them is a tensor
of log-probabilities, [positions, vocabulary]. All functions are pure.
"""

from collections.abc import Collection

import torch
from torch import Tensor

DETECTIONS = ("probability", "entropy", "top1", "all")
"""Qualities by which a teacher may be found better; `all` finds it better everywhere."""

TERMS = ("learned", "averted", "inherited")
"""What the loss of a step is made of beside the likelihood of the references; see `terms`."""

INHERITANCES = ("growing", "constant", "none")

_SUREST = 1 - 1e-6
"""Probabilities beyond this are cut in the negative term, so that it is at most 13.8 nats at a position."""


def quality(log_probs: Tensor, references: Tensor, detection: str) -> Tensor:
    """How well a model predicts each position, [positions]; higher is better.

    Args:
        log_probs: Its prediction, [positions, vocabulary].
        references: Ids of the reference tokens, [positions].
        detection: `probability`: the reference token's log-probability. `entropy`: minus the entropy of the
            prediction, in nats; the reference takes no part. `top1`: 1 where the most probable token is the reference
            token, else 0.

    Raises:
        ValueError: There is no such quality.
    """
    if detection == "probability":
        return log_probs.gather(1, references[:, None])[:, 0]
    if detection == "entropy":
        return torch.special.entr(log_probs.exp()).sum(1).neg()
    if detection == "top1":
        return (log_probs.argmax(1) == references).to(log_probs.dtype)
    raise ValueError(f"expected one of {', '.join(DETECTIONS[:-1])}, found {detection!r}")


def beneficial(teacher: Tensor, previous: Tensor | None, references: Tensor, detection: str) -> Tensor:
    """Where the teacher is better than the previous student: true at the positions of D+, [positions].

    Args:
        teacher: The teacher's prediction, [positions, vocabulary].
        previous: That of the student as it was before this step, [positions, vocabulary]; not read by `all`.
        references: Ids of the reference tokens, [positions].
        detection: One of `DETECTIONS`; see `quality`. Equal quality does not count as better.
    """
    if detection == "all":
        return torch.ones_like(references, dtype=torch.bool)
    return quality(teacher, references, detection) > quality(previous, references, detection)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """`KL(p_teacher || p_student)` at each position in nats, [positions]; 0 where both predict the same.

    Args:
        student: [positions, vocabulary].
        teacher: [positions, vocabulary].
    """
    return torch.nn.functional.kl_div(student, teacher, reduction="none", log_target=True).sum(1)


def aversion(student: Tensor, teacher: Tensor, references: Tensor) -> Tensor:
    """What is learned against a teacher at each position in nats, [positions].

        - sum_{v != y} p_teacher(v) log(1 - p_student(v))

    It falls as the student moves away from the wrong tokens that the teacher believes in, never pushes the reference
    token y down, and is bounded: 0 at best and at most 13.8. Its gradient with respect to the logit of v is about
    `p_teacher(v) p_student(v)`, so it vanishes where there is nothing to unlearn. To turn the sign of the divergence
    instead would have no lower bound and would tear the student apart.

    Args:
        student: [positions, vocabulary].
        teacher: [positions, vocabulary].
        references: Ids of the reference tokens y, [positions].
    """
    wrong = teacher.exp().scatter(1, references[:, None], 0.0)
    return -(wrong * torch.log1p(-student.exp().clamp(max=_SUREST))).sum(1)


def terms(
    student: Tensor,
    teacher: Tensor | None,
    previous: Tensor | None,
    references: Tensor,
    detection: str,
    wanted: Collection[str] = TERMS,
) -> dict[str, Tensor]:
    """The parts of a step's loss, each a mean over all positions, a scalar.

    Args:
        student: What is trained, [positions, vocabulary]; alone it receives gradients.
        teacher: [positions, vocabulary]; `None` where neither `learned` nor `averted` is wanted.
        previous: The student as it was before this step, [positions, vocabulary]; `None` where `inherited` is not
            wanted and nothing has to be detected (`detection` is `all`, or there is no teacher).
        references: Ids of the reference tokens, [positions].
        detection: One of `DETECTIONS`.
        wanted: Which of `TERMS` are computed: each costs as much as a softmax over all positions.

    Returns:
        Those of `wanted`. `learned`: the divergence from the teacher where it is beneficial. `averted`: the aversion
        elsewhere. `inherited`: the divergence from the previous student, everywhere. And, where there is a teacher,
        `beneficial`: the share of D+.
    """
    teacher, previous = (None if one is None else one.detach() for one in (teacher, previous))
    parts = {}
    if teacher is not None:
        knows = beneficial(teacher, previous, references, detection)
        if "learned" in wanted:
            parts["learned"] = (divergence(student, teacher) * knows).mean()
        if "averted" in wanted:
            parts["averted"] = (aversion(student, teacher, references) * ~knows).mean()
        parts["beneficial"] = knows.to(student.dtype).mean()
    if "inherited" in wanted:
        parts["inherited"] = divergence(student, previous).mean()
    return parts


def inheritance_weight(step: int, inheritance: str) -> float:
    """The weight of what the previous student knows in step t; the teacher has what is left of 1.

    Args:
        step: t, from 1.
        inheritance: `growing`: t / (t + 1): what the previous student knows comes from t - 1 teachers and its own
            training, the teacher is one more, and all sources weigh the same. `constant`: 1/2. `none`: 0.

    Raises:
        ValueError: There is no such course, or no such step.
    """
    if step < 1 or inheritance not in INHERITANCES:
        raise ValueError(f"expected a step from 1 and one of {', '.join(INHERITANCES)}, found {step}, {inheritance!r}")
    return {"growing": step / (step + 1), "constant": 0.5, "none": 0.0}[inheritance]
