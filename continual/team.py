"""Several processes that learn one run together, as `accelerate launch` starts them.

Every process does the same with the same numbers, except for the two things that take the time: frozen states are
computed in turns, and each training step is shared out by its texts, whose gradients are then summed. So all hold the
same prompt after every step, and the result is that of one process with as many times the batch.

The leader alone writes the run; the others follow in a copy of its folder that is theirs and temporary.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accelerate import Accelerator


_ROWS_AT_ONCE = 4096


class Team:
    """The processes of this run.

    Args:
        accelerator: The engine that joins them; None for a process on its own.
    """

    def __init__(self, accelerator: "Accelerator | None" = None) -> None:
        self._accelerator = accelerator
        self.rank = 0 if accelerator is None else accelerator.process_index
        self.size = 1 if accelerator is None else accelerator.num_processes

    @property
    def leads(self) -> bool:
        """Whether this process writes the run and speaks to the person at the terminal."""
        return self.rank == 0

    def share(self, items: Any) -> Any:
        """This process's part of a batch or of a list of batches; the parts of all make the whole."""
        return items[self.rank :: self.size]

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes, in one transfer."""
        if self._accelerator is None:
            return
        flat = self._accelerator.reduce(torch.cat([tensor.reshape(-1) for tensor in tensors]), reduction="sum")
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, whole: Tensor) -> None:
        """Completes a tensor of which each process has filled in some rows and left the others zero."""
        if self._accelerator is not None:
            for part in whole.split(_ROWS_AT_ONCE):  # the sum is made in memory, where the whole may not fit
                part.copy_(self._accelerator.reduce(part.clone(), reduction="sum"))

    @contextlib.contextmanager
    def folder(self, make: Callable[[], Path]) -> Iterator[Path]:
        """The folder to work in: the leader's own, and for everyone else a copy of it that is removed at the end.

        Args:
            make: Makes or checks the folder; called by the leader only. Where it raises, the others exit.
        """
        if self._accelerator is None:
            yield make()
            return
        if self.leads:
            yield self._opened(make)
            return
        original = self._told(None)
        if original is None:
            raise SystemExit(2)  # the leader has said why
        copy = Path(original).with_name(f".{Path(original).name}-{self.rank}.tmp")
        shutil.rmtree(copy, ignore_errors=True)  # a killed process may have left it
        try:
            shutil.copytree(original, copy)
            self._accelerator.wait_for_everyone()  # the leader may change the folder from here on
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def _opened(self, make: Callable[[], Path]) -> Path:
        assert self._accelerator is not None
        try:
            path = make()
        except BaseException:
            self._told(None)
            raise
        self._told(str(path.absolute()))
        self._accelerator.wait_for_everyone()
        return path

    def _told(self, word: str | None) -> str | None:
        """What the leader says, heard by all."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([word])[0]


_team = Team()


def current_team() -> Team:
    """The team of this process: itself alone, unless `join_team` found others."""
    return _team


def join_team() -> Team:
    """Joins the processes that a launcher such as `accelerate launch` or `torchrun` started beside this one."""
    global _team
    if _team.size == 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from continual._torchvision import declare_missing_operators

        declare_missing_operators()
        from accelerate import Accelerator

        _team = Team(Accelerator(cpu=True))
    return _team
