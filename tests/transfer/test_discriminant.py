"""Where texts belong: golden values by hand, and what must not matter."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from continual.discriminant import RANK, SHRINKAGE, Cloud, Discriminant


def cloud(mean: list[float], spread: list[list[float]], rest: float = 0.0, level: float = 0.0) -> Cloud:
    return Cloud(torch.tensor(mean), torch.tensor(spread), torch.tensor([rest, level]))


def test_a_cloud_by_hand():
    found = Cloud.of(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))
    assert found.mean.tolist() == [0.5, 0.5]
    # Each coordinate deviates by 1/2 four times: 4 * 1/4 over 3; the two are not correlated.
    torch.testing.assert_close(found.spread @ found.spread.T, torch.eye(2) / 3)
    torch.testing.assert_close(found.variances, torch.tensor([0.0, 1 / 3]))


def test_what_is_beyond_the_stored_directions_is_even():
    vectors = torch.randn(60, RANK + 8, generator=torch.Generator().manual_seed(0))
    found = Cloud.of(vectors)
    whole = torch.linalg.eigvalsh(torch.cov(vectors.T)).flip(0)
    torch.testing.assert_close(found.spread.norm(dim=0) ** 2, whole[:RANK])
    expected = torch.stack([whole[RANK:].sum(), whole.sum()]) / (RANK + 8)
    torch.testing.assert_close(found.variances, expected)


def test_one_text_is_a_cloud_without_extent():
    found = Cloud.of(torch.tensor([[0.6, 0.8]]))
    assert found.mean.tolist() == pytest.approx([0.6, 0.8])
    assert found.variances.tolist() == [0.0, 0.0]
    assert found.spread.abs().max() == 0
    other = Cloud.of(torch.tensor([[1.0, 0.0]]))
    scores = Discriminant([found, other]).scores(torch.tensor([[0.6, 0.8], [1.0, 0.0]]), [found, other])
    assert scores.argmax(1).tolist() == [0, 1]


def test_scores_by_hand():
    first = cloud([1.0, 0.0], [[1.0], [0.0]], rest=0.5, level=1.0)
    second = cloud([0.0, 2.0], [[0.0], [1.0]], rest=0.5, level=1.0)
    keep = 1 - SHRINKAGE
    variance = keep * 0.5 + (keep * 0.5 + SHRINKAGE * 1.0)  # half of each spread, and the even part
    found = Discriminant([first, second]).scores(torch.tensor([[3.0, 1.0]]), [first, second])
    # x P m - m P m / 2 with P = 1 / variance.
    torch.testing.assert_close(found, torch.tensor([[3.0 - 0.5, 2.0 - 2.0]], dtype=torch.float64) / variance)


def test_a_direction_in_which_all_texts_differ_counts_little():
    """The text is nearer to the mean of the first task, but only along the direction in which texts of both vary."""
    draw = torch.Generator().manual_seed(0)
    loud = 4 * torch.randn(200, 1, generator=draw)
    quiet = 0.1 * torch.randn(200, 1, generator=draw)
    first = Cloud.of(torch.cat([loud[:100], quiet[:100]], 1))
    second = Cloud.of(torch.cat([loud[100:] + 3, quiet[100:] + 2], 1))
    text = torch.tensor([[0.0, 2.0]])
    distances = [math.dist(text[0].tolist(), one.mean.tolist()) for one in (first, second)]
    assert distances[0] < distances[1]
    assert int(Discriminant([first, second]).scores(text, [first, second]).argmax()) == 1


@given(seed=st.integers(0, 10_000), texts=st.integers(1, 30), tasks=st.integers(1, 5), width=st.integers(2, 24))
@settings(max_examples=40, deadline=None)
def test_neither_company_nor_order_matter(seed, texts, tasks, width):
    draw = torch.Generator().manual_seed(seed)
    groups = [normalize(torch.randn(texts, width, generator=draw), dim=1) for _ in range(tasks)]
    clouds = [Cloud.of(group) for group in groups]
    stored = Cloud.stored(clouds[0].tensors())
    assert all(torch.equal(value, getattr(stored, name)) for name, value in vars(clouds[0]).items())
    vectors = torch.cat(groups)
    together = Discriminant(clouds).scores(vectors, clouds)
    alone = torch.cat([Discriminant(clouds[::-1]).scores(vector[None], clouds) for vector in vectors])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
    assert together.isfinite().all()


def test_prompts_of_older_versions_have_no_cloud():
    assert Cloud.stored({"keys": torch.ones(1, 2)}) is None
