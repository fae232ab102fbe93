"""What is refused before a run begins, since its backbone could not grow when it has to."""

from continual.backbone.encoder import Encoder
from continual.errors import ConfigError, RunError
from continual.growth.carrying import CARRIERS, LAST_NORM, trains_last_norm
from continual.growth.families import FAMILIES
from continual.growth.method_tensors import ONE_NETWORK
from continual.growth.weights import check_growable
from continual.settings import LearnerSettings
from continual.tuning import build_tuning

_EVEN_TUNINGS, _EVEN_METHODS = ("compacter", "compacter_pp"), ("l2p", "coda", "attempt")
"""Whose prompts need copies in equal numbers."""


def check_growth(settings: LearnerSettings, encoder: Encoder) -> None:
    """Refuses a run that could not grow when it has to.

    Raises:
        BackboneError: Models of the backbone's family cannot grow.
        ConfigError: The backbone cannot grow by so much, or has no layer where the probe would begin.
        RunError: The method has no pool, its prompts cannot be carried over, or several processes learn together.
    """
    from continual.participant import is_baseline
    from continual.team import current_team

    if not settings.growth.active:
        return
    name = settings.method.get("name", "")
    if is_baseline(name):
        raise RunError(
            f"method={name} is a baseline, which has no pool, so its backbone cannot grow; use another method, or "
            "growth.when=never."
        )
    if current_team().size > 1:
        raise RunError(
            "Several processes learn together, and a backbone grows in one alone; start the run without a launcher, or "
            "with growth.when=never."
        )
    tuning = settings.tuning["name"]
    if tuning not in CARRIERS:
        raise RunError(
            f"Prompts of tuning={tuning} cannot be carried over to a grown backbone; use another tuning, or "
            "growth.when=never."
        )
    spec = build_tuning(settings.tuning).spec()
    wider = settings.growth.width and encoder.family in FAMILIES  # of other families more is said below
    if "decoder" in spec and wider and trains_last_norm(spec["decoder"], encoder.family):
        raise RunError(LAST_NORM)
    even = {tuning, *(spec[part]["name"] for part in ("base", "decoder") if part in spec)} & {*_EVEN_TUNINGS}
    if settings.growth.how == "elle" and settings.growth.width and (even or name in _EVEN_METHODS):
        raise RunError(
            f"Prompts of method={name} tuning={tuning} keep their meaning only where every unit is copied equally "
            "often; use growth.how=exact or growth.width=0."
        )
    if name == "cpt_rd" and tuning == "deep" and settings.growth.how == "elle" and settings.growth.width:
        raise RunError(ONE_NETWORK)
    if name == "attempt" and tuning == "deep" and settings.growth.width:
        raise RunError("ATTEMPT over prefixes grows in depth alone; use tuning=late or growth.width=0.")
    check_growable(encoder.model, settings.growth.expansion(), settings.growth.amount, settings.growth.most)
    if settings.growth.when == "capacity" and settings.growth.probe_layer >= encoder.depth:
        raise ConfigError(
            f"growth.probe_layer is {settings.growth.probe_layer}, but the backbone has the layers 0 to "
            f"{encoder.depth - 1}; lower it."
        )


def check_schedule(settings: LearnerSettings, tasks: int) -> None:
    """Refuses a schedule that grows after a task that never comes.

    Args:
        settings: How tasks are learned.
        tasks: Tasks of the stream.

    Raises:
        ConfigError: The stream is too short.
    """
    growth = settings.growth
    if growth.when == "schedule" and max(growth.at) > tasks:
        raise ConfigError(
            f"growth.at names task {max(growth.at)}, but the stream has {tasks} tasks; name one from 1 to {tasks}."
        )
