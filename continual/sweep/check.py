"""What would make a cell fail, or repeat another, is found before hours are spent: all that needs no training."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from continual.errors import ConfigError, UserError
from continual.evaluation.groups import decisive
from continual.registry import suggestion
from continual.sweep.grid import Axis
from continual.unread import bare, check_read, reads

if TYPE_CHECKING:
    from continual.backbone.encoder import Encoder
    from continual.config import RunConfig
    from streams import StreamManager

_SPLIT = "stream.split_seed"


def check_grid(methods: Iterable[str], axes: Sequence[Axis], own: Mapping[str, Sequence[Axis]]) -> None:
    """Refuses settings that make no difference to cells that they are given to.

    One value for all cells is a condition of the whole comparison, so it is enough that one method reads it. Several
    values make cells, which would only repeat one another for a method that does not.

    Args:
        methods: Those of the grid.
        axes: What all cells have.
        own: What only the cells of a method have, by its name.

    Raises:
        ConfigError: There is such a setting, or one for a method that is not in the grid.
    """
    known = sorted(methods)
    for axis in axes:
        key, varied = bare(axis.key), len(axis.values) > 1
        deaf = [method for method in known if not reads(method, key, varied)]
        if deaf and len(known) == 1 and not varied:
            check_read(deaf[0], [axis.key])
        if deaf and (varied or len(deaf) == len(known)):
            raise ConfigError(_unread(axis, deaf, known))
    for method, items in own.items():
        if method not in known:
            raise ConfigError(
                f"--for {method} names no method of this sweep{suggestion(method, known)}; its methods are: "
                f"{', '.join(known)}."
            )
        _check_own(method, items)


def check_cells(wanted: Sequence[tuple[Mapping[str, str], "RunConfig"]]) -> None:
    """Refuses cells that could not be run, by the checks of `continual validate` on their first task.

    Cells that differ only in their seeds are looked at once.

    Args:
        wanted: The settings of each cell and its config.

    Raises:
        UserError: A cell could not be run; the sentence names it.
    """
    bench, seen = _Bench(), set()
    for settings, config in wanted:
        token = _token({key: value for key, value in decisive(config.resolved).items() if key != _SPLIT})
        if token in seen:
            continue
        seen.add(token)
        try:
            bench.check(config)
        except UserError as error:
            raise told_of(error, settings) from error


def told_of(error: UserError, settings: Mapping[str, str]) -> UserError:
    """The error of a cell with the cell's settings behind it."""
    if not settings:
        return error
    cell = " ".join(f"{key}={value}" for key, value in settings.items())
    return ConfigError(f"{str(error).rstrip('.')} (in the cell {cell}).")


class _Bench:
    """The backbone and the stream that were loaded last: cells of a grid share them."""

    def __init__(self) -> None:
        self._backbone: tuple[str, Encoder] | None = None
        self._stream: tuple[str, StreamManager] | None = None

    def check(self, config: "RunConfig") -> None:
        """What `continual validate` checks, on the first task."""
        from continual.participant import check_length, check_settings, check_task

        encoder, stream = self._encoder_of(config), self._stream_of(config)
        check_settings(config.learner, encoder)
        check_length(config.learner, len(stream))
        check_task(config.learner, encoder, stream.task(stream.names[0]))

    def _encoder_of(self, config: "RunConfig") -> "Encoder":
        from continual.backbone.opening import open_backbone

        token = _token(config.backbone)
        if self._backbone is None or self._backbone[0] != token:
            self._backbone = None  # before the next is loaded: two may not fit into memory
            self._backbone = token, open_backbone(config.backbone)
        return self._backbone[1]

    def _stream_of(self, config: "RunConfig") -> "StreamManager":
        from streams import build_stream

        token = _token({key: value for key, value in config.stream.items() if key != "split_seed"})
        if self._stream is None or self._stream[0] != token:
            self._stream = token, build_stream(config.stream, config.seed)
        return self._stream[1]


def _check_own(method: str, items: Sequence[Axis]) -> None:
    for axis in items:
        key = bare(axis.key)
        if key == "method":
            raise ConfigError(f"--for {method} {axis.key}=... would choose another method; add it to method=A,B.")
        check_read(method, [axis.key])
        if len(axis.values) > 1 and not reads(method, key, varied=True):
            raise ConfigError(_unread(axis, [method], [method]))


def _unread(axis: Axis, deaf: Sequence[str], known: Sequence[str]) -> str:
    key = bare(axis.key)
    who = f"method={' and '.join(deaf)} {'do' if len(deaf) > 1 else 'does'} not read {key}"
    if len(deaf) == len(known):
        return f"{who}, so it would make no difference; leave it out."
    return (
        f"{who}, so its cells would be the same for each of its values; give them to one that does: "
        f"--for {next(method for method in known if method not in deaf)} {key}={','.join(axis.values)}."
    )


def _token(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
