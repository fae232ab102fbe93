"""Room for large arrays: counted in memory, mapped beyond the limit, gone when nobody needs it."""

import errno
import gc
import os
from pathlib import Path

import pytest
import torch

from continual.backbone.space import Space
from continual.errors import StorageError


def test_what_fits_is_counted_until_it_is_let_go():
    space = Space(1)
    first = space.zeros(100, 1000)
    second = space.zeros(50, 1000)
    assert (space.used, space.spilled) == (600_000, 0)
    assert first.shape == (100, 1000)
    assert not first.any()
    del first
    gc.collect()
    assert space.used == 200_000
    assert space.fits(800_000)
    assert not space.fits(800_001)
    del second


def test_the_rest_lies_in_files_that_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    space, maps = Space(1), Path("/proc/self/maps")
    kept = space.zeros(250, 1000)
    spilled = space.zeros(500, 1000)
    assert (space.used, space.spilled) == (1_000_000, 2_000_000)
    assert not spilled.any()
    spilled[499] = torch.arange(1000.0)
    spilled.mul_(2)
    assert spilled[499, 999] == 1998
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) in maps.read_text()
    del spilled, kept
    gc.collect()
    assert str(tmp_path) not in maps.read_text()


def test_nothing_takes_no_room():
    space = Space(0)
    assert space.zeros(0, 7).shape == (0, 7)
    assert (space.used, space.spilled) == (0, 0)


def test_a_full_disk_is_said_before_anything_is_written(monkeypatch):
    """The room is taken at once; a mapping that is written to on a full disk would end the process."""

    def refuse(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(StorageError, match="free"):
        Space(0).zeros(10, 10)
