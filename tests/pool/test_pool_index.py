"""Key making and key search."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual.pool.index import KeyIndex, graphs_kept, spherical_kmeans


def _unit(matrix: np.ndarray) -> np.ndarray:
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def _random(rows: int, width: int = 16, seed: int = 0) -> np.ndarray:
    return _unit(np.random.default_rng(seed).normal(size=(rows, width)))


def test_two_bundles_by_hand() -> None:
    # Three rows around east whose mean direction is east exactly, two around north likewise.
    points = np.array([[1, 0.1], [5, 0], [1, -0.1], [0.2, 1], [-0.2, 1]])
    centres = spherical_kmeans(points, 2, seed=0)
    np.testing.assert_allclose(centres, [[1, 0], [0, 1]], atol=1e-7)
    assert centres.dtype == np.float32


def test_one_cluster_is_the_mean_direction() -> None:
    np.testing.assert_allclose(spherical_kmeans(np.array([[2.0, 0], [0, 7]]), 1, seed=3), [[0.5**0.5, 0.5**0.5]])


def test_a_cluster_of_its_own_for_every_separate_bundle() -> None:
    directions = np.eye(8)[np.repeat(np.arange(8), 50)]
    points = directions + np.random.default_rng(1).normal(scale=0.02, size=directions.shape)
    centres = spherical_kmeans(points, 8, seed=0)
    assert sorted(centres.argmax(axis=1)) == list(range(8))


@settings(deadline=None)
@given(
    points=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=12),
    k=st.integers(1, 15),
    seed=st.integers(0, 3),
)
def test_keys_of_any_points(points: list[tuple[int, int, int]], k: int, seed: int) -> None:
    """Few points, copies, opposite points and zeros: the result is always usable, and always the same."""
    matrix = np.array(points, dtype=np.float64)
    directions = {tuple(np.round(row / np.linalg.norm(row), 9)) for row in matrix if row.any()}
    if not directions:
        with pytest.raises(ValueError, match="not zero"):
            spherical_kmeans(matrix, k, seed)
        return
    centres = spherical_kmeans(matrix, k, seed)
    assert len(centres) == min(k, len(directions))
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(centres, spherical_kmeans(matrix.copy(), k, seed))
    if k >= len(directions):
        assert {tuple(row) for row in np.round(centres.astype(np.float64), 5) + 0.0} == {
            tuple(row) for row in np.round(np.array(sorted(directions)), 5) + 0.0
        }


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_length_of_a_row_means_nothing(scale: float) -> None:
    points = np.random.default_rng(0).normal(size=(20, 4))
    np.testing.assert_allclose(spherical_kmeans(points * scale, 3, 0), spherical_kmeans(points, 3, 0), atol=1e-6)


@pytest.mark.parametrize(
    ("points", "k"),
    [
        (np.zeros((0, 3)), 1),
        (np.ones(3), 1),
        (np.array([[np.nan, 1]]), 1),
        (np.ones((2, 2)), 0),
        (np.zeros((2, 2)), 1),
    ],
)
def test_kmeans_refuses_what_has_no_direction(points: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError, match=r"k must|embeddings must"):
        spherical_kmeans(points, k, 0)


def test_search_by_hand() -> None:
    index = KeyIndex(2)
    index.add(np.array([[1, 0], [0.6, 0.8]], dtype=np.float32))
    index.add(np.array([[0, 1]], dtype=np.float32))
    scores, rows = index.search(np.array([[1, 0], [0, 1]], dtype=np.float32), 3)
    np.testing.assert_array_equal(rows, [[0, 1, 2], [2, 1, 0]])
    np.testing.assert_allclose(scores, [[1, 0.6, 0], [1, 0.8, 0]])
    assert rows.dtype == np.int64
    assert len(index) == 3


def test_asking_for_more_than_there_is() -> None:
    index = KeyIndex(4)
    assert index.search(np.ones((2, 4), dtype=np.float32), 5)[1].shape == (2, 0)
    index.add(_random(3, 4))
    assert index.search(np.ones((2, 4), dtype=np.float32), 5)[1].shape == (2, 3)
    assert index.search(np.ones((0, 4), dtype=np.float32), 5)[1].shape == (0, 3)


def test_equal_keys_are_in_the_order_of_their_rows() -> None:
    key = _random(1)
    index = KeyIndex(16)
    index.add(np.concatenate([_random(40, seed=5), np.repeat(key, 30, axis=0)]))
    scores, rows = index.search(key, 30)
    np.testing.assert_array_equal(rows[0], np.arange(40, 70))
    assert len(set(scores[0])) == 1


@pytest.mark.parametrize("threads", [None, 1, 2])
@pytest.mark.parametrize("limit", [10_000, 200])
def test_scores_do_not_depend_on_how_many_queries_are_asked(threads: int | None, limit: int) -> None:
    index = KeyIndex(16, exact_limit=limit, threads=threads)
    index.add(_random(500))
    if index.needs_compacting():
        index.compact()
    queries = _random(50, seed=1)
    together = index.search(queries, 7)
    alone = [index.search(query[None], 7) for query in queries]
    np.testing.assert_array_equal(together[0], np.concatenate([scores for scores, _ in alone]))
    np.testing.assert_array_equal(together[1], np.concatenate([rows for _, rows in alone]))


def test_threads_of_faiss_are_as_before() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    index = KeyIndex(16, exact_limit=10, threads=1)
    index.add(_random(50))
    index.compact()
    index.search(_random(2), 3)
    assert faiss.omp_get_max_threads() == before


def test_a_graph_finds_nearly_what_the_exact_search_finds(tmp_path: Path) -> None:
    # Clustered, as keys are: 40 tasks with 50 keys each.
    keys = _unit(np.repeat(_random(40, 32), 50, axis=0) + 0.1 * _random(2000, 32, seed=1))
    exact, large = KeyIndex(32), KeyIndex(32, exact_limit=1000)
    exact.add(keys)
    large.add(keys[:1500])
    assert large.needs_compacting()
    large.compact()
    large.add(keys[1500:1510])
    assert not large.needs_compacting()
    large.add(keys[1510:])
    assert large.needs_compacting()
    assert (large.graph_rows, len(large), large.is_exact) == (1500, 2000, False)
    queries = _unit(keys[::20] + 0.05 * _random(100, 32, seed=2))
    expected = exact.search(queries, 10)[1]

    def recall() -> float:
        found = large.search(queries, 10)[1]
        return float(np.mean([len(set(one) & set(two)) / 10 for one, two in zip(expected, found, strict=True)]))

    assert recall() > 0.95
    large.compact()
    assert (large.graph_rows, len(large)) == (2000, 2000)
    assert recall() > 0.95

    checksum = large.save_last_graph(tmp_path / "graph")
    loaded = KeyIndex(32, exact_limit=1000)
    assert loaded.load_graph(tmp_path / "graph", checksum)
    np.testing.assert_array_equal(loaded.search(queries, 10)[1], large.search(queries, 10)[1])


def test_a_damaged_or_strange_graph_is_not_loaded(tmp_path: Path) -> None:
    index = KeyIndex(8, exact_limit=10)
    index.add(_random(40, 8))
    index.compact()
    checksum = index.save_last_graph(tmp_path / "graph")
    assert not KeyIndex(9).load_graph(tmp_path / "graph", checksum)
    content = bytearray((tmp_path / "graph").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "graph").write_bytes(content)
    empty = KeyIndex(8)
    assert not empty.load_graph(tmp_path / "graph", checksum)
    assert len(empty) == 0


def test_the_same_keys_give_the_same_graph(tmp_path: Path) -> None:
    sums = set()
    for _ in range(2):
        index = KeyIndex(8, exact_limit=10, threads=2)
        index.add(_random(300, 8))
        index.compact()
        sums.add(index.save_last_graph(tmp_path / "graph"))
    assert len(sums) == 1


def test_a_graph_takes_in_what_has_grown_to_a_share_of_it() -> None:
    assert graphs_kept([], 5) == 0
    assert graphs_kept([320], 10) == 1
    assert graphs_kept([319], 10) == 0
    # The small graph takes the new rows; only with both together is the large one's time.
    assert graphs_kept([640, 9], 10) == 1
    assert graphs_kept([640, 10], 10) == 1
    assert graphs_kept([640, 11], 10) == 0
    assert graphs_kept([100_000, 3_000, 40], 2) == 2


def test_many_small_additions_make_few_graphs_and_few_insertions() -> None:
    sizes, inserted, step = [100_000], 0, 1_000
    for _ in range(9_900):
        kept = graphs_kept(sizes, step)
        grown = sum(sizes[kept:]) + step
        inserted += grown - (sizes[kept] if kept < len(sizes) else 0)
        sizes = [*sizes[:kept], grown]
        assert len(sizes) <= 3
    assert sum(sizes) == 10_000_000
    assert inserted < 3 * 9_900_000


def test_several_graphs_find_what_one_finds(tmp_path: Path) -> None:
    keys = _random(3000, 32)
    exact, parts = KeyIndex(32), KeyIndex(32, exact_limit=100)
    exact.add(keys)
    for start, stop in ((0, 2900), (2900, 2950), (2950, 2990), (2990, 3000)):
        parts.add(keys[start:stop])
        if stop < 3000:
            parts.compact()
    assert parts.graph_sizes == [2900, 90]
    assert len(parts) == 3000
    queries = _random(100, 32, seed=1)
    expected, found = exact.search(queries, 10), parts.search(queries, 10)
    recall = [len(set(one) & set(two)) / 10 for one, two in zip(expected[1], found[1], strict=True)]
    assert np.mean(recall) > 0.95
    # All rows, and their own scores, wherever they lie.
    scores, rows = parts.search(queries[:3], 3000)
    for line in range(3):
        assert sorted(rows[line][rows[line] >= 0]) == sorted(set(rows[line][rows[line] >= 0]))
        real = rows[line] >= 0
        np.testing.assert_allclose(scores[line][real], keys[rows[line][real]] @ queries[line], atol=1e-6)
        assert set(range(2990, 3000)) <= set(rows[line])
