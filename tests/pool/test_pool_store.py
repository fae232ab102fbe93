"""`PromptPool` as its users see it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pool_samples import BACKBONE, FOREIGN, WIDTH, assert_same, make_prompt, unit

from continual.errors import PoolError
from continual.pool import Hit, PromptPool


@pytest.fixture
def pool(tmp_path: Path) -> PromptPool:
    return PromptPool(tmp_path / "pool", BACKBONE, backbone_name="minilm")


def test_a_new_pool_is_empty(pool: PromptPool) -> None:
    assert len(pool) == 0
    assert (pool.ids(), pool.tasks(), pool.records(), pool.verify(), pool.notes) == ([], [], [], [], [])
    assert pool.search(np.ones((2, 5)), 3) == [[], []]
    assert pool.latest("pheme") is None
    assert pool.next_id("pheme") == "pheme-v1"
    assert (pool.backbone, pool.backbone_name) == (BACKBONE, "minilm")


def test_what_was_added_is_there_after_opening_again(pool: PromptPool) -> None:
    prompts = [make_prompt("ferguson"), make_prompt("a b"), make_prompt("ferguson", 2)]
    added = [pool.add(prompt) for prompt in prompts]
    for again in (pool, PromptPool(pool.path), PromptPool(pool.path, BACKBONE, read_only=True)):
        assert again.ids() == ["ferguson-v1", "a-b-v1", "ferguson-v2"]
        assert again.tasks() == ["ferguson", "a b"]
        assert again.records() == added
        assert again.record("a-b-v1") == added[1]
        assert again.latest("ferguson") == added[2]
        assert again.latest("nothing") is None
        assert again.latest("not utf-8 \udcff") is None
        assert "a-b-v1" in again
        assert "a-b-v2" not in again
        assert "../pool" not in again
        assert again.next_id("ferguson") == "ferguson-v3"
        assert again.backbone_name == "minilm"
        for prompt in prompts:
            assert_same(again.get(prompt.id), prompt)
        assert again.verify() == []
        assert again.notes == []


def test_a_stored_prompt_is_never_replaced(pool: PromptPool) -> None:
    pool.add(make_prompt(seed=1))
    with pytest.raises(PoolError, match=r"'sydney-siege-v1' is in .* already .* 'sydney-siege-v2'"):
        pool.add(make_prompt(seed=2))
    assert_same(pool.get("sydney-siege-v1"), make_prompt(seed=1))


def test_renumbering_on_request(pool: PromptPool) -> None:
    assert pool.add(make_prompt(), renumber=True).id == "sydney-siege-v1"
    record = pool.add(make_prompt(seed=1), renumber=True)
    assert (record.id, record.version) == ("sydney-siege-v2", 2)
    assert pool.get("sydney-siege-v2").provenance["renumbered_from"] == "sydney-siege-v1"
    assert pool.verify() == []


def test_tasks_that_share_a_slug_share_the_numbers_but_not_the_prompts(pool: PromptPool) -> None:
    pool.add(make_prompt("a b"))
    assert pool.next_id("a-b") == "a-b-v2"
    pool.add(make_prompt("a-b", 2))
    assert pool.latest("a b").id == "a-b-v1"
    assert pool.latest("a-b").id == "a-b-v2"


def test_the_next_version_follows_the_highest(pool: PromptPool) -> None:
    for version in (2, 10, 9):
        pool.add(make_prompt(version=version))
    assert pool.next_version("sydney siege") == 11
    assert pool.latest("sydney siege").version == 10


def test_tensors_that_were_handed_out_may_be_changed(pool: PromptPool) -> None:
    mine = make_prompt()
    pool.add(mine)
    mine.tensors["head.bias"].zero_()
    for _ in range(2):
        got = pool.get("sydney-siege-v1")
        assert_same(got, make_prompt())
        got.tensors["head.bias"].add_(1)
        got.tensors.clear()


def test_a_foreign_prompt_is_refused(pool: PromptPool) -> None:
    with pytest.raises(PoolError, match=r"pool\.json belongs to backbone bbbbbbbbbbbb \(minilm\) but ffffffffffff"):
        pool.add(make_prompt(backbone=FOREIGN))
    assert len(pool) == 0


def test_a_foreign_pool_is_refused(pool: PromptPool) -> None:
    with pytest.raises(PoolError, match=r"pool\.json belongs to backbone .* choose that backbone or another pool"):
        PromptPool(pool.path, FOREIGN)


def test_the_first_prompt_decides_for_a_pool_without_backbone(tmp_path: Path) -> None:
    one, two = PromptPool(tmp_path / "pool"), PromptPool(tmp_path / "pool")
    assert one.backbone is None
    one.add(make_prompt())
    assert one.backbone == PromptPool(tmp_path / "pool").backbone == BACKBONE
    with pytest.raises(PoolError, match="belongs to backbone"):
        two.add(make_prompt("other", backbone=FOREIGN))
    two.add(make_prompt("other"))
    assert one.ids() == ["sydney-siege-v1", "other-v1"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("sidney-siege-v1", "did you mean 'sydney-siege-v1'"),
        ("quite-different-v7", "it has 1 prompts, list them"),
        ("../../etc/passwd", "There is no prompt"),
        ("", "There is no prompt"),
        ("\udcff", "There is no prompt"),
    ],
)
def test_an_unknown_id_is_answered_with_a_hint(pool: PromptPool, asked: str, sentence: str) -> None:
    pool.add(make_prompt())
    for ask in (
        pool.get,
        pool.record,
        lambda prompt_id: pool.export(pool.path.parent / "x.zip", [prompt_id]),
    ):
        with pytest.raises(PoolError, match=sentence):
            ask(asked)


def test_search_by_hand(pool: PromptPool) -> None:
    for task, keys in {"east": [[1, 0], [5, 1]], "north": [[0, 1]], "both": [[1, 0], [0, 1]]}.items():
        pool.add(make_prompt(task, tensors={"keys": unit(*keys)}))
    # [3, 4] has cosine 0.6 with east, 0.8 with north, and (3 * 5 + 4) / (5 * sqrt(26)) = 0.745 with [5, 1].
    (hits,) = pool.search(np.array([[3.0, 4.0]]), 3)
    assert [hit.prompt_id for hit in hits] == ["both-v1", "north-v1", "east-v1"]
    np.testing.assert_allclose([hit.score for hit in hits], [0.8, 0.8, 19 / (5 * 26**0.5)], rtol=1e-6)
    assert pool.search(torch.tensor([[3.0, 4.0]], dtype=torch.bfloat16, requires_grad=True), 3) == [hits]
    assert pool.search(np.array([[300.0, 400.0]]), 1) == [hits[:1]]
    assert [hit.prompt_id for hit in pool.search(np.array([[3, 4]]), 3, exclude=["both-v1"])[0]] == [
        "north-v1",
        "east-v1",
    ]
    assert pool.search(np.zeros((1, 2)), 1) == [[Hit("both-v1", 0.0)]]
    assert pool.search(np.zeros((0, 2)), 1) == []


def test_search_knows_what_others_have_added_since(pool: PromptPool) -> None:
    other = PromptPool(pool.path)
    pool.add(make_prompt("one"))
    query = make_prompt("two").tensors["keys"][:1]
    assert [hit.prompt_id for hit in other.search(query, 5)[0]] == ["one-v1"]
    pool.add(make_prompt("two"))
    assert [hit.prompt_id for hit in other.search(query, 5)[0]] == ["two-v1", "one-v1"]
    pool.rebuild()
    pool.add(make_prompt("three"))
    assert len(other.search(query, 5)[0]) == 3
    assert other.search(query, 5) == pool.search(query, 5)
    assert other.notes == []


def test_search_refuses_what_is_no_query(pool: PromptPool) -> None:
    pool.add(make_prompt())
    for bad in (np.ones(WIDTH), np.full((1, WIDTH), np.nan), np.full((1, WIDTH), np.inf)):
        with pytest.raises(ValueError, match="finite matrix"):
            pool.search(bad, 1)
    with pytest.raises(PoolError, match="8 values but the query has 5"):
        pool.search(np.ones((1, 5)), 1)


def test_keys_of_another_width_are_refused(pool: PromptPool) -> None:
    pool.add(make_prompt("one"))
    with pytest.raises(PoolError, match="'two-v1' have 2 values but those of the pool have 8"):
        pool.add(make_prompt("two", tensors={"keys": unit([1, 2])}))
    assert pool.ids() == ["one-v1"]
    assert not pool.folder("two-v1").exists()
    assert pool.verify() == []


def test_a_large_pool_gets_a_graph(tmp_path: Path) -> None:
    pool = PromptPool(tmp_path / "pool", exact_limit=20)
    exact = PromptPool(tmp_path / "exact")
    for number in range(12):
        pool.add(make_prompt(f"task {number}"))
        exact.add(make_prompt(f"task {number}"))
        # The keys lie so close that the graph is searched completely; its answers are then exact.
        queries = make_prompt(f"task {number}").tensors["keys"]
        assert pool.search(queries, 4) == exact.search(queries, 4) == PromptPool(pool.path).search(queries, 4)
    # Above 20 keys a graph takes all, and after that whenever a key is new: here with every prompt.
    assert _graphs(pool) == ["0-36"]
    before = set((pool.path / "index").glob("graph-*"))
    pool.rebuild()
    assert _graphs(pool) == ["0-36"]
    assert not before & set((pool.path / "index").glob("graph-*"))
    assert pool.search(queries, 4) == exact.search(queries, 4)
    pool.add(make_prompt("one more"))
    assert pool.search(make_prompt("one more").tensors["keys"], 1)[0][0].prompt_id == "one-more-v1"
    assert pool.verify() == []


def _graphs(pool: PromptPool) -> list[str]:
    """The rows of the graphs on disk."""
    return sorted("-".join(file.name.split("-")[2:4]) for file in (pool.path / "index").glob("graph-*"))


@pytest.fixture
def large_pool(tmp_path: Path) -> PromptPool:
    """One graph of 300 keys and a smaller one of 3."""
    pool = PromptPool(tmp_path / "pool", exact_limit=200)
    keys = torch.nn.functional.normalize(torch.randn(300, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    pool.add(make_prompt("many", tensors={"keys": keys}))
    pool.add(make_prompt("one"))
    return pool


def test_a_new_graph_leaves_the_larger_one_as_it_is(large_pool: PromptPool) -> None:
    assert _graphs(large_pool) == ["0-300", "300-303"]
    (large,) = (large_pool.path / "index").glob("graph-*-0-300-*")
    written = large.stat().st_mtime_ns
    large_pool.add(make_prompt("two"))
    assert _graphs(large_pool) == ["0-300", "300-306"]
    assert large.stat().st_mtime_ns == written
    for task in ("one", "two"):
        for pool in (large_pool, PromptPool(large_pool.path, exact_limit=200)):
            assert pool.search(make_prompt(task).tensors["keys"][:1], 1)[0][0].prompt_id == f"{task}-v1"
    large_pool.add(make_prompt("three"))
    large_pool.add(make_prompt("four"))
    assert _graphs(large_pool) == ["0-312"]


def test_a_reader_takes_the_graphs_that_others_make(large_pool: PromptPool) -> None:
    reader = PromptPool(large_pool.path, exact_limit=200, read_only=True)
    query = make_prompt("two").tensors["keys"][:1]
    reader.search(query, 1)
    large_pool.add(make_prompt("two"))
    assert reader.search(query, 1)[0][0].prompt_id == "two-v1"
    assert reader._index._derived.live._index.graph_sizes == [300, 6]
    assert reader.search(query, 20) == large_pool.search(query, 20)


def test_graphs_are_not_made_twice_at_once(large_pool: PromptPool) -> None:
    from continual.pool.graphfile import GraphFolder

    with GraphFolder(large_pool.path / "index").alone() as alone:
        assert alone
        with GraphFolder(large_pool.path / "index").alone() as again:
            assert not again
        # The prompt is stored and found though no graph is made of it now.
        large_pool.add(make_prompt("two"))
        assert large_pool.search(make_prompt("two").tensors["keys"][:1], 1)[0][0].prompt_id == "two-v1"
    assert _graphs(large_pool) == ["0-300", "300-303"]
    large_pool.add(make_prompt("three"))
    assert _graphs(large_pool) == ["0-300", "300-309"]
    assert large_pool.notes == []


def test_what_a_killed_process_left_of_a_graph(large_pool: PromptPool) -> None:
    folder = large_pool.path / "index"
    (small,) = folder.glob("graph-*-300-303-*")
    content = small.read_bytes()
    large_pool.add(make_prompt("two"))
    # Killed after the new file was there, before the old one was deleted; and another one while writing.
    small.write_bytes(content)
    (folder / ".graph.draft.0123456789ab.tmp").write_bytes(b"half")
    again = PromptPool(large_pool.path, exact_limit=200)
    assert again.search(make_prompt("two").tensors["keys"][:1], 1)[0][0].prompt_id == "two-v1"
    again.add(make_prompt("three"))
    assert _graphs(again) == ["0-300", "300-309"]
    assert not list(folder.glob("*draft*"))


def test_more_prompts_than_the_cache_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continual.pool.store._CACHED_PROMPTS", 2)
    pool = PromptPool(tmp_path / "pool")
    prompts = [pool.add(make_prompt(version=version)) and make_prompt(version=version) for version in range(1, 5)]
    for prompt in prompts + prompts:
        assert_same(pool.get(prompt.id), prompt)
    pool.folder("sydney-siege-v4").rename(tmp_path / "elsewhere")
    assert_same(pool.get("sydney-siege-v4"), prompts[3])
    for prompt in prompts[:2]:
        pool.get(prompt.id)
    with pytest.raises(PoolError, match=r"sydney-siege-v4 is missing; restore it"):
        pool.get("sydney-siege-v4")


def test_there_must_be_a_pool_unless_it_may_be_made(tmp_path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(PoolError, match="no prompt pool"):
            PromptPool(tmp_path / "pool", **options)
        assert not (tmp_path / "pool").exists()


def test_a_folder_of_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(PoolError, match=r"other files but no pool\.json"):
        PromptPool(tmp_path)
    with pytest.raises(PoolError, match="is a file but a pool is a folder"):
        PromptPool(tmp_path / "thesis.tex")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_reading_only(pool: PromptPool) -> None:
    pool.add(make_prompt())
    reader = PromptPool(pool.path, read_only=True)
    for change in (lambda: reader.add(make_prompt("new")), reader.rebuild, lambda: reader.import_(pool.path)):
        with pytest.raises(PoolError, match="opened for reading only"):
            change()
    assert reader.search(np.ones((1, WIDTH)), 1)[0][0].prompt_id == "sydney-siege-v1"


def test_listing_needs_neither_torch_nor_faiss(pool: PromptPool) -> None:
    pool.add(make_prompt())
    program = (
        "import sys; from continual.pool import PromptPool\n"
        "pool = PromptPool(sys.argv[1], read_only=True)\n"
        "assert [record.id for record in pool.records()] == ['sydney-siege-v1']\n"
        "assert not {'torch', 'faiss', 'safetensors'} & sys.modules.keys(), 'too much was imported'\n"
    )
    subprocess.run([sys.executable, "-c", program, str(pool.path)], check=True)


def test_the_highest_version_answers_whenever_it_arrived(pool: PromptPool) -> None:
    pool.add(make_prompt("one", version=2))
    pool.add(make_prompt("one", version=1))
    assert pool.superseded() == {"one-v1"}
    assert pool.latest("one").id == "one-v2"
