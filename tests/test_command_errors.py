"""What the command line makes of errors that no command foresaw."""

import errno
import os

import pytest
from command_line import call

import continual.cli as cli


def raising(error: Exception):
    def command(standalone_mode: bool) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "Could not use a file: No space left on device"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), "Could not use a/b: No such file"),
    ],
)
def test_refusals_of_a_disk_are_one_sentence(monkeypatch, error, words):
    monkeypatch.setattr(cli, "command", raising(error))
    code, _, told = call("ls")
    assert (code, told.count("\n")) == (2, 1)
    assert words in told


def test_other_errors_of_the_system_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(cli, "command", raising(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")))
    with pytest.raises(ConnectionRefusedError):
        call("ls")
