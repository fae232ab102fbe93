"""Whatever happens to the files of a pool: one sentence for the user, and nothing lost that could be kept."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pool_samples import BACKBONE, FOREIGN, assert_same, make_prompt, unit

from continual.errors import PoolError
from continual.pool import PromptPool
from continual.pool import format as prompt_format

TASKS = ["charliehebdo", "ferguson", "germanwings crash"]
IDS = ["charliehebdo-v1", "ferguson-v1", "germanwings-crash-v1"]
QUERY = make_prompt("ferguson").tensors["keys"][:1]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "pool"
    pool = PromptPool(path, BACKBONE)
    for number, task in enumerate(TASKS):
        pool.add(make_prompt(task, created=f"2025-01-0{number + 1}"))
    return path


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "pool"))


def _expect_all(pool: PromptPool) -> None:
    assert pool.ids() == IDS
    assert pool.search(QUERY, 1)[0][0].prompt_id == "ferguson-v1"
    for number, task in enumerate(TASKS):
        assert_same(pool.get(IDS[number]), make_prompt(task, created=f"2025-01-0{number + 1}"))


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _garbage(file: Path) -> None:
    file.write_bytes(b"\x00garbage\xff" * 100)


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _remove(file: Path) -> None:
    file.unlink()


DAMAGES = [_flip, _truncate, _garbage, _empty, _remove]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["prompt.json", "tensors.safetensors"])
def test_a_damaged_prompt_spoils_nothing_else(path: Path, file: str, damage: Callable[[Path], None]) -> None:
    place = path / "prompts" / "ferguson-v1" / file
    damage(place)
    if file == "prompt.json" and damage is _flip:
        # The last byte is a line feed; without the brace before it, it matters.
        place.write_bytes(place.read_bytes().rstrip()[:-1])
    for pool in (PromptPool(path, BACKBONE), PromptPool(path, read_only=True)):
        assert pool.ids() == IDS
        pool.get("charliehebdo-v1")
        with pytest.raises(PoolError, match=f"ferguson-v1/{file}.*restore"):
            pool.get("ferguson-v1")
        (problem,) = pool.verify()
        assert (problem.prompt, problem.file) == ("ferguson-v1", str(place))
        assert "ferguson-v1" in problem.sentence
        with pytest.raises(PoolError, match=file):
            pool.export(path.parent / "out.zip")
        assert not (path.parent / "out.zip").exists()
        pool.export(path.parent / "out.zip", ["charliehebdo-v1"])
        (path.parent / "out.zip").unlink()
    pool = PromptPool(path, BACKBONE)
    pool.add(make_prompt("new"))
    pool.rebuild()
    assert sorted(pool.ids()) == ["charliehebdo-v1", "germanwings-crash-v1", "new-v1"]
    assert any("ferguson-v1" in note for note in pool.notes)
    with pytest.raises(PoolError, match=f"ferguson-v1/{file}"):
        pool.get("ferguson-v1")


def test_a_prompt_folder_that_vanished(path: Path) -> None:
    shutil.rmtree(path / "prompts" / "ferguson-v1")
    pool = PromptPool(path)
    assert pool.notes == []
    with pytest.raises(PoolError, match=r"ferguson-v1 is missing; restore it, or delete .*index to forget"):
        pool.get("ferguson-v1")
    assert [problem.prompt for problem in pool.verify()] == ["ferguson-v1"]
    with pytest.raises(PoolError, match="already"):
        pool.add(make_prompt("ferguson"))
    shutil.rmtree(path / "index")
    assert PromptPool(path).ids() == ["charliehebdo-v1", "germanwings-crash-v1"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", ["catalogue.sqlite", "keys-*.f32"])
def test_a_damaged_index_is_made_anew(path: Path, pattern: str, damage: Callable[[Path], None]) -> None:
    (file,) = (path / "index").glob(pattern)
    if damage is _flip and pattern == "catalogue.sqlite":
        # The last byte of the file is unused; the header is not.
        file.write_bytes(b"X" + file.read_bytes()[1:])
    else:
        damage(file)
    reader = PromptPool(path, read_only=True)
    content = file.read_bytes() if file.exists() else None
    _expect_all(reader)
    assert (file.read_bytes() if file.exists() else None) == content
    assert "a temporary one was made" in reader.notes[0]
    pool = PromptPool(path, BACKBONE)
    _expect_all(pool)
    assert len(pool.notes) == 1
    assert "rebuilt from its prompts" in pool.notes[0]
    assert pool.verify() == []
    again = PromptPool(path, BACKBONE)
    _expect_all(again)
    assert again.notes == []
    assert len(list((path / "index").iterdir())) == 2


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", ["catalogue.sqlite", "keys-*.f32"])
def test_an_index_that_is_damaged_while_the_pool_is_open(
    path: Path, pattern: str, damage: Callable[[Path], None]
) -> None:
    pool = PromptPool(path)
    for file in (path / "index").glob(pattern):
        damage(file)
    pool.add(make_prompt("new", created="2025-02-01"))
    assert pool.search(make_prompt("new").tensors["keys"][:1], 1)[0][0].prompt_id == "new-v1"
    assert pool.ids() == [*IDS, "new-v1"]
    assert pool.verify() == []


def test_the_whole_index_may_be_deleted(path: Path) -> None:
    pool = PromptPool(path)
    shutil.rmtree(path / "index")
    _expect_all(pool)
    shutil.rmtree(path / "index")
    _expect_all(PromptPool(path))


def test_random_damage_of_the_index_never_ends_in_a_traceback(template: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    for number in range(60):
        path = Path(shutil.copytree(template, tmp_path / str(number)))
        file = chance.choice(sorted((path / "index").iterdir()))
        content = bytearray(file.read_bytes())
        for _ in range(chance.choice([1, 1, 1, 20])):
            place = chance.randrange(len(content) if chance.random() < 0.7 else 120)
            content[place] ^= chance.randrange(1, 256)
        file.write_bytes(content)
        pool = PromptPool(path)
        pool.search(QUERY, 2)
        pool.records()
        problems = pool.verify()
        for prompt_id in IDS:
            pool.get(prompt_id)
        # What SQLite cannot notice, verify does, and the remedy that it names helps.
        if problems:
            shutil.rmtree(path / "index")
            pool = PromptPool(path)
        _expect_all(pool)
        assert pool.verify() == []


def test_a_prompt_that_the_index_lacks_is_entered(path: Path) -> None:
    folder = path / "prompts" / "late-v1"
    folder.mkdir()
    prompt_format.encode(make_prompt("late")).write(folder)
    reader = PromptPool(path, read_only=True)
    assert reader.ids() == IDS
    assert "1 prompt folders" in reader.notes[0]
    assert_same(reader.get("late-v1"), make_prompt("late"))
    pool = PromptPool(path)
    assert pool.ids() == [*IDS, "late-v1"]
    assert pool.notes == ["Prompt 'late-v1' was missing in the index and has been entered."]
    assert pool.verify() == []


def test_many_prompts_that_the_index_lacks(path: Path) -> None:
    for version in range(1, 121):
        folder = path / "prompts" / f"late-v{version}"
        folder.mkdir()
        prompt_format.encode(make_prompt("late", version)).write(folder)
    pool = PromptPool(path)
    assert len(pool) == 123
    assert pool.ids()[:3] == ["charliehebdo-v1", "late-v1", "late-v2"]
    assert "it lacked 120 of them" in pool.notes[0]


def test_prompts_that_do_not_belong(path: Path) -> None:
    for name, prompt in {
        "foreign-v1": make_prompt("foreign", backbone=FOREIGN),
        "alias-v1": make_prompt("late"),
        "narrow-v1": make_prompt("narrow", tensors={"keys": unit([1, 2])}),
    }.items():
        (path / "prompts" / name).mkdir()
        prompt_format.encode(prompt).write(path / "prompts" / name)
    (path / "prompts" / "notes.txt").write_text("mine")
    (path / "prompts" / ".DS_Store").write_text("")
    pool = PromptPool(path, BACKBONE)
    _expect_all(pool)
    assert len(pool.notes) == 3
    assert {problem.prompt for problem in pool.verify()} == {
        "foreign-v1",
        "alias-v1",
        "narrow-v1",
        "notes.txt",
    }
    with pytest.raises(PoolError, match="trained for backbone ffffffffffff"):
        pool.get("foreign-v1")
    pool.get("narrow-v1")
    assert pool.next_id("foreign") == "foreign-v2"


def test_what_a_killed_process_left_is_removed(path: Path) -> None:
    leftovers = [path / "prompts" / ".ferguson-v2.abc.tmp", path / "prompts" / ".x-v1.discarded.tmp"]
    for leftover in leftovers:
        leftover.mkdir()
        (leftover / "prompt.json").write_text("{")
    reader = PromptPool(path, read_only=True)
    _expect_all(reader)
    assert all(leftover.exists() for leftover in leftovers)
    _expect_all(PromptPool(path))
    assert not any(leftover.exists() for leftover in leftovers)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"schema": 1}',
        b'{"schema": "x"}',
        b"\xff",
        b'{"schema": 1, "backbone": 3, "backbone_name": null}',
    ],
)
def test_a_damaged_header(path: Path, content: bytes) -> None:
    (path / "pool.json").write_bytes(content)
    with pytest.raises(PoolError, match=r"pool\.json is not the header .* import the prompts"):
        PromptPool(path)
    # The remedy works.
    rescued = PromptPool(path.parent / "rescued")
    rescued.import_(path)
    _expect_all(rescued)


def test_a_file_in_the_place_of_the_prompts(path: Path) -> None:
    shutil.rmtree(path / "prompts")
    (path / "prompts").touch()
    with pytest.raises(PoolError, match="prompts cannot be read"):
        PromptPool(path)


def test_a_missing_header(path: Path) -> None:
    (path / "pool.json").unlink()
    with pytest.raises(PoolError, match=r"other files but no pool\.json"):
        PromptPool(path)
    rescued = PromptPool(path.parent / "rescued")
    assert len(rescued.import_(path)) == 3


def test_a_newer_pool_asks_for_an_upgrade(path: Path) -> None:
    (path / "pool.json").write_text('{"schema": 2, "backbone": null, "backbone_name": null}')
    with pytest.raises(PoolError, match=r"pool\.json has schema 2 .* upgrade"):
        PromptPool(path)


def test_a_newer_prompt_asks_for_an_upgrade(path: Path) -> None:
    (path / "prompts" / "ferguson-v1" / "prompt.json").write_text('{"schema": 3}')
    with pytest.raises(PoolError, match=r"ferguson-v1/prompt\.json has schema 3 .* upgrade"):
        PromptPool(path).get("ferguson-v1")


def test_a_damaged_graph_is_not_used(tmp_path: Path) -> None:
    pool = PromptPool(tmp_path / "pool", exact_limit=4)
    for task in TASKS:
        pool.add(make_prompt(task))
    (graph,) = (pool.path / "index").glob("graph-*.faiss")
    expected = PromptPool(pool.path, exact_limit=4).search(QUERY, 3)
    for damage in DAMAGES:
        content = graph.read_bytes()
        damage(graph)
        assert PromptPool(pool.path, exact_limit=4).search(QUERY, 3) == expected
        graph.write_bytes(content)
    # A damaged graph is looked at once, and the next prompts get another.
    DAMAGES[0](graph)
    again = PromptPool(pool.path, exact_limit=4)
    again.search(QUERY, 3)
    again.add(make_prompt("one more"))
    assert again.search(QUERY, 3) == PromptPool(pool.path, exact_limit=4).search(QUERY, 3)
    assert [file.name.split("-")[2:4] for file in graph.parent.glob("graph-*")] == [["0", "12"]]
