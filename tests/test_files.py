"""Writes that are whole or absent."""

import errno
import os
import stat
from pathlib import Path

import pytest

from continual import files
from continual.errors import StorageError


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _fail_after_writing(path: Path) -> None:
    path.write_text("half")
    raise OSError(errno.EIO, "Input/output error")


def test_replacing_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    files.write_text(path, "old")
    files.write_text(path, "new ü 🔥\x00")
    assert path.read_text(encoding="utf-8") == "new ü 🔥\x00"
    assert _names(path.parent) == ["file.txt"]


def test_a_failed_replacement_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "old")
    with pytest.raises(StorageError), files.replacing(path) as temporary:
        _fail_after_writing(temporary)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["file.txt"]


def test_what_was_written_is_as_readable_as_other_files(tmp_path: Path) -> None:
    ordinary_file, ordinary_folder = tmp_path / "ordinary", tmp_path / "folder"
    ordinary_file.touch()
    ordinary_folder.mkdir()
    files.write_text(tmp_path / "file", "x")
    with files.new_folder(tmp_path / "new"):
        pass
    for one, two in ((tmp_path / "file", ordinary_file), (tmp_path / "new", ordinary_folder)):
        assert stat.S_IMODE(one.stat().st_mode) == stat.S_IMODE(two.stat().st_mode)


def test_a_new_folder_is_whole(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "deep" / "new") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_text("x")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "inner" / "file").read_text() == "x"
    assert _names(tmp_path / "deep") == ["new"]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError), files.new_folder(tmp_path / "new") as temporary:
        _fail_after_writing(temporary / "file")
    assert _names(tmp_path) == []


@pytest.mark.parametrize("content", [None, "precious"])
def test_a_folder_is_never_overwritten(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "new").mkdir()
    if content:
        (tmp_path / "new" / "file").write_text(content)
    with pytest.raises(FileExistsError), files.new_folder(tmp_path / "new") as temporary:
        (temporary / "other").write_text("x")
    assert _names(tmp_path) == ["new"]
    assert _names(tmp_path / "new") == (["file"] if content else [])


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"^Could not write .*: the disk is full; free some space .*\.$"),
        files.storage_errors(tmp_path),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")


@pytest.mark.parametrize("writing", [files.write_text, files.write_json])
def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path: Path, writing: object) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Could not write .*file/inner"):
        writing(tmp_path / "file" / "inner", "x")
    with (
        pytest.raises(StorageError, match=r"Could not write .*file/inner"),
        files.new_folder(tmp_path / "file" / "inner"),
    ):
        pass


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "ulimit"),
    ],
)
def test_every_known_refusal_has_a_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    with pytest.raises(StorageError, match=remedy), files.storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_json_there_and_back(tmp_path: Path) -> None:
    value = {"text": "ü", "list": [1, 2.5, None, True], 3: {"deep": (1, 2)}}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == {
        "text": "ü",
        "list": [1, 2.5, None, True],
        "3": {"deep": [1, 2]},
    }


def test_numbers_that_json_lacks() -> None:
    assert files.finite([float("nan"), {"a": float("-inf")}, 1.5]) == [None, {"a": None}, 1.5]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\n\r\ntwo\n\n", ["one", "", "two", ""]),
        (b"\xef\xbb\xbfone\rstill one\n", ["one\rstill one"]),
        ("one\u2028still one\x85and still\n".encode(), ["one\u2028still one\x85and still"]),
    ],
)
def test_only_line_feeds_end_lines(data: bytes, lines: list[str]) -> None:
    assert files.lines_of(data) == lines


def test_bytes_that_are_no_utf8_are_refused_or_replaced() -> None:
    with pytest.raises(UnicodeDecodeError):
        files.lines_of(b"\xff\n")
    assert files.lines_of(b"\xff\n", "replace") == ["\ufffd"]
