"""Refuses, before anything is computed, what cannot be learned or answered."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from continual.backbone.encoder import Encoder
from continual.backbone.text_to_text import TextToText
from continual.errors import LearningError
from continual.evaluation.kinds import CLASSIFICATION, TRANSLATION, measures_of, metric_of
from continual.methods.base import Method
from continual.pool.prompt import PromptRecord
from continual.storing import pairs_of
from continual.tuning.base import Tuning
from streams.translation_languages import find_language

if TYPE_CHECKING:
    from continual.baselines.base import Baseline
    from continual.settings import LearnerSettings
    from streams import Task


def check_is_task(value: object, asked: str) -> None:
    """Refuses what is no task, such as the name of one or a whole stream.

    Args:
        value: What was given.
        asked: Who was given it, for the message.

    Raises:
        LearningError: It is none.
    """
    from streams import StreamManager, Task

    if isinstance(value, Task):
        return
    advice = "loop over the stream, and give each of its tasks"
    if not isinstance(value, StreamManager):
        advice = 'take one of a stream, such as `next(iter(build_stream({"kind": "simulated"})))`'
    raise LearningError(f"{asked} was given {type(value).__name__} {str(value)[:60]!r}, expected a task; {advice}.")


def check_learning(method: Method | type[Method], tuning: Tuning, answers: str, encoder: Encoder, task: "Task") -> None:
    """Refuses a task that cannot be learned into the pool.

    Args:
        method: Who learns it.
        tuning: What is trained.
        answers: How classifications are answered, see `LearnerSettings.answers`.
        encoder: The backbone.
        task: The task.

    Raises:
        LearningError: The method cannot learn it on this backbone, or not in this way.
        BackboneError: Nothing can be written under prompts of this tuning.
        ConfigError: There is no such metric as the task's, or the tuning cannot steer a generative model.
    """
    check_task(method, encoder, task)
    check_answers(answers, method, encoder, task)
    check_tuning(tuning, encoder, task)


def check_task(method: Method | type[Method], encoder: Encoder, task: "Task") -> None:
    """Refuses a task that the method cannot learn on the backbone.

    Raises:
        LearningError: The method learns no tasks of this kind or needs pairs of texts, or the backbone writes nothing.
        ConfigError: There is no such metric as the task's.
    """
    _check_kind(method, encoder, task)
    if method.pairs and "text_pair" not in task.train.column_names:
        raise LearningError(
            f"Task {task.name!r} has single texts, but method={method.name} needs a second text for each; use a stance "
            "stream, or a table with a column for second texts."
        )


def check_baseline(baseline: "type[Baseline]", encoder: Encoder, task: "Task") -> None:
    """Refuses a task that a baseline cannot learn on the backbone.

    Raises:
        LearningError: It learns no tasks of this kind, or not on this backbone.
        ConfigError: There is no such metric as the task's.
    """
    _check_kind(baseline, encoder, task)
    if task.kind == CLASSIFICATION and baseline.trains_backbone and isinstance(encoder, TextToText):
        raise LearningError(
            f"Task {task.name!r} is a classification, which method={baseline.name} learns on encoders alone, but the "
            f"backbone {encoder.name!r} is {encoder.kind}; choose an encoder, or another method."
        )


def check_growing(settings: "LearnerSettings", task: "Task") -> None:
    """Refuses a task for which no backbone grows: the test of capacity and what is learned after growth need a head.

    Raises:
        LearningError: The backbone may grow, and the task is answered in words.
    """
    if settings.growth.active and (task.kind == TRANSLATION or settings.answers == "label"):
        raise LearningError(
            f"Task {task.name!r} is answered in words, and backbones grow only for tasks that a head answers; "
            "set growth.when=never."
        )


def _check_kind(method: "Method | type[Method] | type[Baseline]", encoder: Encoder, task: "Task") -> None:
    measures_of(task.kind)
    metric_of(task.kind, task.metric)
    if task.kind not in method.kinds:
        raise LearningError(
            f"Task {task.name!r} is a {task.kind}, but method={method.name} learns {' and '.join(method.kinds)} tasks "
            "only; choose another method, such as method=panda."
        )
    if task.kind == TRANSLATION and not isinstance(encoder, TextToText):
        raise LearningError(
            f"Task {task.name!r} is a translation, but the backbone {encoder.name!r} is an encoder, which writes "
            "nothing; choose one that does, such as backbone=translation-base or backbone=seq2seq, or another stream."
        )
    if task.kind == TRANSLATION:
        check_direction(encoder, task)


def check_direction(encoder: Encoder, task: "Task") -> None:
    """Refuses a translation into the language that the backbone was pretrained to read.

    A model that was made for both directions is told which by its prefix. Languages that it was not made for at all are
    left alone: prompts may teach them.

    Raises:
        LearningError: That is so, and the model's record says it.
    """
    from continual.pretraining.translation.record import made_for
    from continual.pretraining.translation.vocabulary import language_token

    made = made_for(encoder.opening)
    if made is None or not isinstance(encoder, TextToText):
        return
    asked = (task.info.get("source_language"), task.info.get("target_language"))
    way = tuple(find_language(str(language), made.languages) for language in asked)
    if None in way:
        return
    wanted = f"Task {task.name!r} is {'-'.join(way)}, but the backbone {encoder.name!r} was made for"
    if way not in made.ways:
        raise LearningError(
            f"{wanted} {made.name}; choose stream.direction={made.name}, or make a model for it by `continual pretrain "
            f"... direction={'-'.join(way)}`."
        )
    if made.is_told and language_token(way[1]) not in encoder.prefix:
        raise LearningError(
            f"{wanted} both directions, and its prefix {encoder.prefix!r} does not say which; set "
            f"backbone.prefix='{language_token(way[1])} '."
        )


def check_answers(answers: str, method: Method | type[Method], encoder: Encoder, task: "Task") -> None:
    """Refuses a task that cannot be answered by the labels' texts, where that is asked for.

    Raises:
        LearningError: It has no labels, the backbone writes nothing, or the method needs a head.
    """
    if answers != "label":
        return
    if task.kind != CLASSIFICATION:
        raise LearningError(
            f"answers=label is for classifications, and task {task.name!r} is a {task.kind}, which is always answered "
            "in words; leave it out."
        )
    if not isinstance(encoder, TextToText):
        raise LearningError(
            f"answers=label asks how probable the backbone finds a label's text, but {encoder.name!r} is an encoder, "
            "which writes nothing; use answers=head, or a generative backbone such as backbone=seq2seq."
        )
    if method.shared or TRANSLATION not in method.kinds:
        raise LearningError(
            f"method={method.name} works on heads, which answers=label does without; use answers=head, or another "
            "method, such as method=panda."
        )


def check_tuning(tuning: Tuning, encoder: Encoder, task: "Task") -> None:
    """Refuses prompts under which a translation cannot be learned.

    Raises:
        BackboneError: Nothing can be written under them.
        ConfigError: They cannot steer a generative model.
    """
    if task.kind == TRANSLATION and isinstance(encoder, TextToText):
        tensors = tuning.initial(encoder, None, torch.Generator().manual_seed(0))
        encoder.check_writing(tuning.steering(encoder, tensors))


def check_pairs(told: PromptRecord, pairs: Sequence[str] | None) -> None:
    """Refuses single texts for a task that was learned on pairs, and the other way round.

    Raises:
        LearningError: That is so.
    """
    learned_on_pairs = pairs_of(told)
    if learned_on_pairs is None or learned_on_pairs == (pairs is not None):
        return
    if learned_on_pairs:
        raise LearningError(f"The task {told.task!r} was learned on pairs of texts; give each text its second text.")
    raise LearningError(f"The task {told.task!r} was learned on single texts; leave the second texts out.")


def check_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> None:
    """Refuses what is no text, one string in place of a list, and second texts that do not go with the first ones.

    Raises:
        LearningError: That is so.
    """
    for name, values in (("texts", texts), ("second texts", pairs)):
        if isinstance(values, str):
            raise LearningError(f"The {name} are the one string {values[:60]!r}, expected a list; put it in brackets.")
    for name, values in (("text", texts), ("second text", pairs or ())):
        for number, value in enumerate(values):
            if not isinstance(value, str):
                kind = type(value).__name__
                raise LearningError(
                    f"The {name} number {number} is of type {kind}, expected a string; convert it first."
                )
    if pairs is not None and len(pairs) != len(texts):
        raise LearningError(
            f"{len(texts)} texts came with {len(pairs)} second texts; give one second text for each text."
        )


def writer_of(encoder: Encoder) -> TextToText:
    """The backbone, where it can translate.

    Raises:
        LearningError: It writes nothing.
    """
    if not isinstance(encoder, TextToText):
        raise LearningError(
            f"The backbone {encoder.name!r} is an encoder, which writes nothing; use one that does, such as "
            "backbone=seq2seq."
        )
    return encoder
