"""From keys to prompts, against a search by brute force."""

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from continual.pool.catalogue import KeyRows
from continual.pool.index import KeyIndex
from continual.pool.search import Hit, Owners, nearest_prompts

# Few directions, so that ties within and between prompts are the rule.
DIRECTIONS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0.6, 0.8, 0], [0.8, 0.6, 0], [0, 0.6, 0.8]],
    dtype=np.float32,
)


class Sample(NamedTuple):
    owners: Owners
    keys: list[np.ndarray]

    def index(self, **options: int) -> KeyIndex:
        index = KeyIndex(3, **options)
        for keys in self.keys:
            index.add(keys)
        return index

    def expected(self, query: np.ndarray, k: int, exclude: set[str]) -> list[Hit]:
        best = [
            (
                -float(np.float32((keys.astype(np.float64) @ query.astype(np.float64)).max())),
                self.owners[number],
            )
            for number, keys in enumerate(self.keys)
            if self.owners[number].id not in exclude
        ]
        ordered = sorted(best, key=lambda item: (item[0], item[1].task, item[1].version))
        return [Hit(owner.id, -score) for score, owner in ordered[:k]]


def _sample(picks: list[list[int]]) -> Sample:
    owners, keys, first = Owners(), [], 0
    for number, pick in enumerate(picks):
        # Two tasks with versions that do not sort as texts do.
        task, version = "ab"[number % 2], 12 - number // 2
        owners.extend([KeyRows(f"{task}-v{version}", task, version, first, len(pick), 0)])
        keys.append(DIRECTIONS[pick])
        first += len(pick)
    return Sample(owners, keys)


@settings(deadline=None)
@given(
    picks=st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), min_size=1, max_size=20),
    queries=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    k=st.integers(1, 22),
    excluded=st.sets(st.integers(0, 19), max_size=6),
)
def test_exact_whatever_the_ties(picks: list[list[int]], queries: list[int], k: int, excluded: set[int]) -> None:
    sample = _sample(picks)
    exclude = {sample.owners[number].id for number in excluded if number < len(picks)}
    found = nearest_prompts(sample.index(), sample.owners, DIRECTIONS[queries], k, exclude)
    assert found == [sample.expected(query, k, exclude) for query in DIRECTIONS[queries]]


def test_a_prompt_with_many_near_keys_does_not_hide_the_others() -> None:
    sample = _sample([[0] * 500, [4], [5], [1]])
    found = nearest_prompts(sample.index(), sample.owners, DIRECTIONS[:1], 3)
    assert [hit.prompt_id for hit in found[0]] == ["a-v12", "a-v11", "b-v12"]


def test_all_prompts_alike() -> None:
    sample = _sample([[0, 1]] * 24)
    found = nearest_prompts(sample.index(), sample.owners, DIRECTIONS[:1], 3)
    assert [hit.prompt_id for hit in found[0]] == ["a-v1", "a-v2", "a-v3"]


def test_nothing_to_find() -> None:
    sample = _sample([[0]])
    assert nearest_prompts(sample.index(), sample.owners, DIRECTIONS[:2], 0) == [[], []]
    assert nearest_prompts(sample.index(), sample.owners, DIRECTIONS[:2], 3, ["a-v12"]) == [[], []]
    assert nearest_prompts(sample.index(), sample.owners, DIRECTIONS[:0], 3) == []


def test_graph_and_recent_rows_together() -> None:
    sample = _sample([[0], [4], [5], [1], [2], [6]])
    index = sample.index(exact_limit=1)
    index.compact()
    index.add(DIRECTIONS[[3]])
    sample.owners.extend([KeyRows("c-v1", "c", 1, 6, 1, 0)])
    found = nearest_prompts(index, sample.owners, DIRECTIONS[[3, 0]], 2)
    assert found[0][0] == Hit("c-v1", 1.0)
    assert [hit.prompt_id for hit in found[1]] == ["a-v12", "a-v11"]


def test_a_score_is_never_above_one() -> None:
    sample = _sample([[0]])
    longer = DIRECTIONS[:1] * np.float32(1.0005)
    assert nearest_prompts(sample.index(), sample.owners, longer, 1) == [[Hit("a-v12", 1.0)]]
