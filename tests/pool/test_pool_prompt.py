"""Ids, records and the two files of a prompt."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_samples import BACKBONE, FOREIGN, assert_same, make_prompt, unit
from safetensors import torch as safetensors

from continual.errors import PoolError
from continual.pool import format as prompt_format
from continual.pool.prompt import PromptRecord, is_prompt_id, make_id, task_slug

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("task", "slug"),
    [
        ("pheme", "pheme"),
        ("Ottawa Shooting (2014)", "ottawa-shooting-2014"),
        ("germanwings-crash", "germanwings-crash"),
        ("Müller & Söhne", "muller-sohne"),
        ("a__b--c", "a-b-c"),
        ("../../etc/passwd", "etc-passwd"),
        ("谣言", "task-" + hashlib.sha256("谣言".encode()).hexdigest()[:8]),
        ("", "task-" + hashlib.sha256(b"").hexdigest()[:8]),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 64 + "-" + hashlib.sha256(b"x" * 65).hexdigest()[:8]),
    ],
)
def test_slug(task: str, slug: str) -> None:
    assert task_slug(task) == slug
    assert make_id(task, 12) == f"{slug}-v12"


@settings(deadline=None)
@given(st.text(alphabet=st.characters()), st.integers(1, 999_999_999))
def test_every_id_is_a_safe_folder_name(task: str, version: int) -> None:
    prompt_id = make_id(task, version)
    assert is_prompt_id(prompt_id)
    assert Path(prompt_id).name == prompt_id
    assert len(prompt_id) < 100


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a", "a-v0", "a-v01", "A-v1", "a/b-v1", "-a-v1", "a--b-v1", "a-v1\n", "ä-v1"]
)
def test_what_is_no_id(text: str) -> None:
    assert not is_prompt_id(text)


def test_files_keep_every_bit() -> None:
    tensors = {
        "keys": unit([1, 2, 3]),
        "half": torch.tensor([1.5, -2.25], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.zeros(0, 4),
        "trained": torch.nn.Parameter(torch.tensor([0.1, 0.2])),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
    }
    prompt = make_prompt("Ünïcode 🔥\x00", labels=("a\x00", "日本"), tensors=tensors)
    encoded = prompt_format.encode(prompt)
    decoded = prompt_format.decode(encoded.json, encoded.tensors, Path(prompt.id))
    assert_same(decoded, prompt)
    assert not any(tensor.requires_grad for tensor in decoded.tensors.values())


def test_tensors_that_share_memory_are_stored() -> None:
    whole = unit([3, 4], [4, 3])
    prompt = make_prompt(tensors={"keys": whole, "row": whole[0], "again": whole})
    encoded = prompt_format.encode(prompt)
    assert_same(prompt_format.decode(encoded.json, encoded.tensors, Path(prompt.id)), prompt)


@settings(deadline=None)
@given(
    provenance=st.dictionaries(st.text(), JSON, max_size=4),
    tuning=st.dictionaries(st.text(), JSON, max_size=3),
)
def test_record_survives_its_file(provenance: dict[str, object], tuning: dict[str, object]) -> None:
    encoded = prompt_format.encode(make_prompt(provenance=provenance, tuning=tuning))
    assert encoded.record.provenance == provenance
    assert prompt_format.decode_record(encoded.json, Path("sydney-siege-v1/prompt.json")) == encoded.record
    assert PromptRecord.from_json(json.loads(json.dumps(encoded.record.to_json()))) == encoded.record


def test_record_describes_the_tensors() -> None:
    encoded = prompt_format.encode(make_prompt())
    record = encoded.record
    assert record.keys == (3, 8)
    assert record.tensors["head.weight"].shape == (2, 8)
    assert record.tensors["head.weight"].dtype == "float32"
    assert record.tensors_bytes == len(encoded.tensors)
    assert record.tensors_sha256 == hashlib.sha256(encoded.tensors).hexdigest()


def test_equal_prompts_give_equal_bytes() -> None:
    one, two = prompt_format.encode(make_prompt()), prompt_format.encode(make_prompt())
    backwards = dict(reversed(make_prompt().tensors.items()))
    three = prompt_format.encode(make_prompt(tensors=backwards))
    assert one.json == two.json == three.json
    assert one.tensors == two.tensors == three.tensors


def test_numbers_that_json_lacks_become_null() -> None:
    encoded = prompt_format.encode(make_prompt(provenance={"score": float("nan"), "best": [float("inf")]}))
    assert encoded.record.provenance == {"score": None, "best": [None]}


def test_renumbering_remembers_the_old_id() -> None:
    encoded = prompt_format.encode(make_prompt(version=2)).renumbered(5)
    record = prompt_format.decode_record(encoded.json, Path("sydney-siege-v5/prompt.json"))
    assert (record.id, record.version) == ("sydney-siege-v5", 5)
    assert record.provenance["renumbered_from"] == "sydney-siege-v2"


def _changed(**tensors: torch.Tensor) -> dict[str, torch.Tensor]:
    return make_prompt().tensors | tensors


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": " ", "id": "task-v1"}, "'task'"),
        ({"method": ""}, "'method'"),
        ({"backbone": ""}, "'backbone'"),
        ({"version": 0}, "version"),
        ({"id": "ferguson-v1"}, "sydney-siege-v1"),
        ({"labels": ("a", "a")}, "labels"),
        ({"labels": (1, 2)}, "labels"),
        ({"provenance": {"model": object()}}, "JSON"),
        ({"provenance": {"text": "\ud800"}}, "JSON"),
        ({"tensors": _changed(keys=torch.ones(2, 3))}, "length one"),
        ({"tensors": _changed(keys=unit([1, 2]).double())}, "float32"),
        ({"tensors": _changed(keys=unit([1, 2])[0])}, r"\[2\]"),
        ({"tensors": _changed(keys=torch.zeros(0, 8))}, r"\[0, 8\]"),
        ({"tensors": {"head.bias": torch.zeros(2)}}, "has none"),
        ({"tensors": _changed(bias=torch.tensor([1.0, float("nan")]))}, "'bias'.*NaN"),
        ({"tensors": _changed(bias=torch.tensor([float("inf")], dtype=torch.bfloat16))}, "NaN or infinity"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(PoolError, match=sentence):
        prompt_format.encode(make_prompt(**changes))


def _stored(tmp_path: Path) -> Path:
    folder = tmp_path / "sydney-siege-v1"
    folder.mkdir()
    prompt_format.encode(make_prompt()).write(folder)
    return folder


def _resealed(folder: Path, **changes: object) -> None:
    """Writes `prompt.json` anew with changes and a right checksum, as a defective program might."""
    record = dataclasses.replace(prompt_format.read_record(folder), **changes)
    (folder / "prompt.json").write_bytes(prompt_format.encode_record(record))


@settings(deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = _stored(tmp_path_factory.mktemp("flip"))
    file = folder / data.draw(st.sampled_from(["prompt.json", "tensors.safetensors"]))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    if file.name == "prompt.json" and _same_json(content, folder):
        return
    with pytest.raises(PoolError, match=file.name):
        prompt_format.read_prompt(folder)


def _same_json(content: bytearray, folder: Path) -> bool:
    """Whether only white space changed."""
    try:
        return bool(json.loads(content) == json.loads(prompt_format.encode(make_prompt()).json))
    except ValueError:
        return False


@pytest.mark.parametrize("file", ["prompt.json", "tensors.safetensors"])
@pytest.mark.parametrize("keep", [0, 1, 100])
def test_a_truncated_file_is_noticed(tmp_path: Path, file: str, keep: int) -> None:
    folder = _stored(tmp_path)
    (folder / file).write_bytes((folder / file).read_bytes()[:keep])
    with pytest.raises(PoolError, match=f"{file}.*restore"):
        prompt_format.read_prompt(folder)


@pytest.mark.parametrize("file", ["prompt.json", "tensors.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    folder = _stored(tmp_path)
    (folder / file).unlink()
    with pytest.raises(PoolError, match=f"{file} is missing; restore"):
        prompt_format.read_prompt(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"{}", b'{"schema": 1}', b"\xff\xfe", b'{"schema": NaN}', b"[" * 100_000, b"{"],
)
def test_garbage_instead_of_json(tmp_path: Path, content: bytes) -> None:
    folder = _stored(tmp_path)
    (folder / "prompt.json").write_bytes(content)
    with pytest.raises(PoolError, match=r"prompt\.json"):
        prompt_format.read_record(folder)


def test_a_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    (folder / "prompt.json").write_text('{"schema": 3, "anything": "else"}')
    with pytest.raises(PoolError, match=r"prompt\.json has schema 3 .* up to 2; upgrade"):
        prompt_format.read_prompt(folder)


def test_an_older_schema_asks_for_learning_again(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    (folder / "prompt.json").write_text('{"schema": 1, "anything": "else"}')
    with pytest.raises(PoolError, match=r"prompt\.json has schema 1, .* reads 2; learn its task again"):
        prompt_format.read_prompt(folder)


def test_a_foreign_backbone_is_refused(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    assert prompt_format.read_prompt(folder, BACKBONE).backbone == BACKBONE
    with pytest.raises(PoolError, match="trained for backbone bbbbbbbbbbbb, not for ffffffffffff"):
        prompt_format.read_prompt(folder, FOREIGN)


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    folder = _stored(tmp_path).rename(tmp_path / "ferguson-v1")
    with pytest.raises(PoolError, match="describes prompt 'sydney-siege-v1'; rename"):
        prompt_format.read_record(folder)


def test_missing_additional_and_reshaped_tensors(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    original = prompt_format.read_record(folder).tensors
    for tensors, sentence in [
        (
            {name: info for name, info in original.items() if name != "head.bias"},
            "has the tensor 'head.bias'",
        ),
        (original | {"head.scale": original["head.bias"]}, "lacks the tensor 'head.scale'"),
        (original | {"head.bias": original["head.weight"]}, "'head.bias' in .* another type or shape"),
    ]:
        _resealed(folder, tensors=tensors)
        with pytest.raises(PoolError, match=sentence):
            prompt_format.read_prompt(folder)


def test_a_file_that_is_not_safetensors(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    (folder / "tensors.safetensors").write_bytes(b"not tensors")
    _resealed(folder, tensors_sha256=hashlib.sha256(b"not tensors").hexdigest())
    with pytest.raises(PoolError, match="not a safetensors file"):
        prompt_format.read_prompt(folder)


def test_a_field_of_a_wrong_type(tmp_path: Path) -> None:
    folder = _stored(tmp_path)
    _resealed(folder, tuning=["late"])
    with pytest.raises(PoolError, match="'tuning' must be a dict, not list"):
        prompt_format.read_record(folder)


def test_the_files_are_what_others_expect(tmp_path: Path) -> None:
    """The contract with other tools: plain safetensors, and JSON with these fields."""
    folder = _stored(tmp_path)
    assert torch.equal(safetensors.load_file(folder / "tensors.safetensors")["keys"], make_prompt().tensors["keys"])
    value = json.loads((folder / "prompt.json").read_text())
    assert value["schema"] == 2
    assert {
        "id",
        "task",
        "version",
        "labels",
        "backbone",
        "tuning",
        "method",
        "provenance",
        "created",
    } <= value.keys()
