"""Prompts that travel: zip archives and folders."""

import os
import time
import zipfile
from pathlib import Path

import pytest
import torch
from pool_samples import BACKBONE, FOREIGN, assert_same, make_prompt

from continual.errors import PoolError
from continual.pool import PromptPool
from continual.pool.layout import LINEAGE_FILES

QUERY = make_prompt("one").tensors["keys"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> PromptPool:
    pool = PromptPool(tmp_path_factory.mktemp("source") / "pool", BACKBONE, backbone_name="minilm")
    # Stored in another order than they were made in.
    pool.add(make_prompt("two", created="2025-01-02"))
    pool.add(make_prompt("one", created="2025-01-01"))
    return pool


@pytest.fixture
def archive(pool: PromptPool, tmp_path: Path) -> Path:
    return pool.export(tmp_path / "prompts.zip")


@pytest.mark.parametrize("name", ["prompts.zip", "PROMPTS.ZIP", "folder"])
def test_there_and_back(pool: PromptPool, tmp_path: Path, name: str) -> None:
    target = PromptPool(tmp_path / "target")
    added = target.import_(pool.export(tmp_path / name))
    assert [record.id for record in added] == ["one-v1", "two-v1"]
    assert target.ids() == ["one-v1", "two-v1"]
    assert target.backbone == BACKBONE
    assert target.verify() == []
    for prompt_id in pool.ids():
        assert_same(target.get(prompt_id), pool.get(prompt_id))
        assert target.record(prompt_id) == pool.record(prompt_id)
    assert target.search(QUERY, 2) == pool.search(QUERY, 2)
    assert target.import_(tmp_path / name) == []


@pytest.mark.parametrize("name", ["prompts.zip", "folder"])
def test_a_new_pool_learns_of_its_backbone_from_the_source(pool: PromptPool, tmp_path: Path, name: str) -> None:
    source = pool.export(tmp_path / "source")
    for file in LINEAGE_FILES:
        (source / file).write_bytes(file.encode())
    exported = PromptPool(source).export(tmp_path / name)
    target = PromptPool(tmp_path / "target")
    target.import_(exported)
    assert target.backbone_name == "minilm"
    assert PromptPool(tmp_path / "target", read_only=True).backbone_name == "minilm"
    assert [(tmp_path / "target" / file).read_bytes() for file in LINEAGE_FILES] == [
        file.encode() for file in LINEAGE_FILES
    ]
    decided = PromptPool(tmp_path / "decided", BACKBONE, backbone_name="mine")
    decided.import_(exported)
    assert decided.backbone_name == "mine"
    assert all((tmp_path / "decided" / file).read_bytes() == file.encode() for file in LINEAGE_FILES)


def test_a_pool_that_was_imported_without_its_backbones_name_learns_it(archive: Path, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target", BACKBONE)
    target.import_(archive)
    assert target.import_(archive) == []
    assert PromptPool(tmp_path / "target").backbone_name == "minilm"


def test_prompts_of_another_backbone_than_their_header_says_are_refused(archive: Path, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target")
    header = b'{"schema": 1, "backbone": "%s", "backbone_name": "other"}' % FOREIGN.encode()
    with pytest.raises(PoolError, match="was trained for backbone bbbbbbbbbbbb, not for ffffffffffff"):
        target.import_(_rewritten(archive, {"pool.json": header}))
    assert (len(target), target.backbone, target.backbone_name) == (0, None, None)


def test_an_exported_folder_and_an_unpacked_archive_are_pools(pool: PromptPool, archive: Path, tmp_path: Path) -> None:
    pool.export(tmp_path / "folder")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")
    for name in ("folder", "unpacked"):
        copy = PromptPool(tmp_path / name, BACKBONE)
        assert copy.ids() == ["one-v1", "two-v1"]
        assert copy.backbone_name == "minilm"
        assert copy.verify() == []


def test_the_same_prompts_give_the_same_bytes(pool: PromptPool, archive: Path, tmp_path: Path) -> None:
    copy = PromptPool(tmp_path / "copy", backbone_name="minilm")
    copy.import_(archive)
    for folder, _, files in os.walk(copy.path):
        for file in files:
            os.utime(Path(folder, file), (time.time() - 10**6,) * 2)
    assert copy.export(tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    assert pool.export(tmp_path / "order.zip", ["two-v1", "one-v1", "two-v1"]).read_bytes() == archive.read_bytes()


def test_some_prompts_only(pool: PromptPool, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target")
    target.import_(pool.export(tmp_path / "one.zip", ["one-v1"]))
    assert target.ids() == ["one-v1"]


def test_nothing_to_export(tmp_path: Path) -> None:
    empty = PromptPool(tmp_path / "empty", BACKBONE)
    for name in ("empty.zip", "folder"):
        assert PromptPool(tmp_path / f"target {name}").import_(empty.export(tmp_path / name)) == []


def test_an_archive_is_replaced_but_a_folder_is_not(pool: PromptPool, archive: Path, tmp_path: Path) -> None:
    pool.export(archive, ["one-v1"])
    with zipfile.ZipFile(archive) as packed:
        assert len(packed.namelist()) == 3
    (tmp_path / "folder").mkdir()
    with pytest.raises(PoolError, match=r"folder exists already; export to a new folder"):
        pool.export(tmp_path / "folder")


def test_a_clash_gets_the_next_version_once(archive: Path, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target", BACKBONE)
    mine = make_prompt("one", seed=9)
    target.add(mine)
    assert [record.id for record in target.import_(archive)] == ["one-v2", "two-v1"]
    assert_same(target.get("one-v1"), mine)
    got = target.get("one-v2")
    assert got.provenance["renumbered_from"] == "one-v1"
    assert all(torch.equal(tensor, got.tensors[name]) for name, tensor in make_prompt("one").tensors.items())
    assert target.import_(archive) == []
    assert target.verify() == []


def test_a_foreign_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target", FOREIGN)
    with pytest.raises(
        PoolError, match=r"prompts\.zip/prompts/one-v1/prompt\.json was trained for backbone bbbbbbbbbbbb"
    ):
        target.import_(archive)
    assert len(target) == 0


def _rewritten(archive: Path, change: dict[str, bytes | None], **options: int) -> Path:
    """A copy of the archive with members replaced, added, or (None) removed."""
    with zipfile.ZipFile(archive) as packed:
        members = {name: packed.read(name) for name in packed.namelist()} | change
    path = archive.with_name("changed.zip")
    with zipfile.ZipFile(path, "w", **options) as packed:
        for name, content in members.items():
            if content is not None:
                packed.writestr(zipfile.ZipInfo(name), content, compress_type=options.get("compression"))
    return path


def test_an_archive_that_was_packed_by_another_program(archive: Path, tmp_path: Path) -> None:
    change = {"prompts/": b"", "prompts/one-v1/": b"", "index/catalogue.sqlite": b"x", "README.txt": b"hello"}
    packed = _rewritten(archive, change, compression=zipfile.ZIP_DEFLATED)
    assert len(PromptPool(tmp_path / "target").import_(packed)) == 2


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "prompts/../../evil",
        "prompts\\..\\evil",
        "prompts/.hidden/prompt.json",
        "prompts/x/y",
    ],
)
def test_an_unsafe_archive_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    target = PromptPool(tmp_path / "deep" / "target")
    before = sorted(tmp_path.rglob("*"))
    bad = _rewritten(archive, {name: b"evil"})
    with pytest.raises(PoolError, match=r"unsafe member .*do not trust"):
        target.import_(bad)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, bad])


def test_a_member_that_is_there_twice(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as packed, pytest.warns(UserWarning, match="Duplicate"):
        packed.writestr("pool.json", b"{}")
    with pytest.raises(PoolError, match=r"unsafe member 'pool\.json'"):
        PromptPool(tmp_path / "target").import_(archive)


def test_a_member_that_would_fill_the_memory(archive: Path, tmp_path: Path) -> None:
    bomb = _rewritten(archive, {"prompts/one-v1/tensors.safetensors": bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(PoolError, match="would unpack to 10,000,000 bytes"):
        PromptPool(tmp_path / "target").import_(bomb)


@pytest.mark.parametrize(
    ("member", "content", "sentence"),
    [
        ("pool.json", None, r"not an exported pool"),
        ("pool.json", b"{", r"pool\.json is not the header"),
        ("pool.json", b'{"schema": 1, "backbone": null, "backbone_name": null, "opening": 7}', "is not the header"),
        ("pool.json", b'{"schema": 9, "backbone": null, "backbone_name": null}', "upgrade"),
        ("prompts/one-v1/prompt.json", None, r"lacks the member prompts/one-v1/prompt\.json"),
        ("prompts/one-v1/prompt.json", b"{}", r"one-v1/prompt\.json does not describe"),
        ("prompts/one-v1/prompt.json", b'{"schema": 3}', "upgrade"),
        ("prompts/one-v1/tensors.safetensors", None, "lacks the member"),
        ("prompts/one-v1/tensors.safetensors", b"short", r"tensors\.safetensors is damaged"),
    ],
)
def test_a_damaged_archive_adds_nothing(
    archive: Path, tmp_path: Path, member: str, content: bytes | None, sentence: str
) -> None:
    target = PromptPool(tmp_path / "target")
    with pytest.raises(PoolError, match=sentence):
        target.import_(_rewritten(archive, {member: content}))
    assert len(target) == 0
    assert target.verify() == []


def test_every_truncation_and_many_flips_are_noticed(archive: Path, tmp_path: Path) -> None:
    """Either the archive is refused, or what it gives is right."""
    target = PromptPool(tmp_path / "target")
    content = archive.read_bytes()
    damaged = tmp_path / "damaged.zip"
    variants = [content[:keep] for keep in range(0, len(content), 97)]
    variants += [content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :] for at in range(0, len(content), 53)]
    refusals = []
    for variant in variants:
        damaged.write_bytes(variant)
        try:
            target.import_(damaged)
        except PoolError as error:
            refusals.append(str(error))
    assert len(refusals) > len(variants) // 2
    assert all(str(damaged) in sentence for sentence in refusals)
    for prompt_id in target.ids():
        assert_same(target.get(prompt_id), make_prompt(prompt_id[:3], created=target.record(prompt_id).created))


def test_what_is_not_there_or_not_a_pool(pool: PromptPool, tmp_path: Path) -> None:
    target = PromptPool(tmp_path / "target")
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "other").mkdir()
    for name, sentence in [
        ("nothing.zip", "There is no archive or pool"),
        ("text.zip", "not a readable zip archive"),
        ("other", "is not a prompt pool; name the folder"),
    ]:
        with pytest.raises(PoolError, match=sentence):
            target.import_(tmp_path / name)


def test_a_damaged_folder_adds_nothing(pool: PromptPool, tmp_path: Path) -> None:
    folder = pool.export(tmp_path / "folder")
    (folder / "prompts" / "two-v1" / "tensors.safetensors").write_bytes(b"")
    target = PromptPool(tmp_path / "target")
    with pytest.raises(PoolError, match=r"two-v1/tensors\.safetensors is damaged"):
        target.import_(folder)
    assert len(target) == 0


def test_a_pool_imported_into_itself(pool: PromptPool) -> None:
    assert pool.import_(pool.path) == []
