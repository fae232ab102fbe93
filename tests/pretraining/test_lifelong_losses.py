"""Losses, masks and proportions of replay, each against numbers worked by hand."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.pretraining.lifelong.losses import (
    cross_entropy_sum,
    distilled,
    divergence_sum,
    token_losses,
    token_smoothed_sum,
)
from continual.pretraining.lifelong.masking import corrupted, hard_places, hidden, random_places
from continual.pretraining.lifelong.replay import Replay, Shelf, memory_rows, proportions, up_to

THIRDS = torch.log(torch.tensor([[1.0, 2.0, 3.0]]) / 6)
"""Logits of the probabilities 1/6, 1/3, 1/2."""


def test_cross_entropy_adds_up():
    logits = torch.cat([THIRDS, THIRDS])
    assert float(cross_entropy_sum(logits, torch.tensor([0, 2]))) == pytest.approx(math.log(6) + math.log(2))
    assert token_losses(logits, torch.tensor([0, 2])).tolist() == pytest.approx([math.log(6), math.log(2)])
    assert float(cross_entropy_sum(THIRDS[:0], torch.tensor([], dtype=torch.long))) == 0


def test_the_target_is_smoothed_by_what_the_model_says_of_the_whole_sentence():
    reference = torch.tensor([[0.25, 0.75, 0.0]])
    hard, soft = math.log(2), 0.25 * math.log(6) + 0.75 * math.log(3)
    found = float(token_smoothed_sum(THIRDS, torch.tensor([2]), reference, 0.1))
    assert found == pytest.approx(0.9 * hard + 0.1 * soft)
    assert float(token_smoothed_sum(THIRDS, torch.tensor([2]), reference, 0.0)) == pytest.approx(hard)


def test_a_certain_reference_smooths_nothing_and_a_uniform_one_as_ever():
    target, uniform = torch.tensor([1]), torch.full((1, 3), 1 / 3)
    assert float(token_smoothed_sum(THIRDS, target, torch.eye(3)[target], 0.4)) == pytest.approx(math.log(3))
    usual = torch.nn.functional.cross_entropy(THIRDS, target, label_smoothing=0.4)
    assert float(token_smoothed_sum(THIRDS, target, uniform, 0.4)) == pytest.approx(float(usual))


def test_divergence_by_hand_and_zero_of_equals():
    teacher = torch.log(torch.tensor([[0.5, 0.5]]))
    student = torch.log(torch.tensor([[0.25, 0.75]]))
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert float(divergence_sum(student, teacher, 1.0)) == pytest.approx(expected)
    assert float(divergence_sum(student, student, 3.0)) == pytest.approx(0, abs=1e-7)
    # At T = 2 the student's odds of 3 become sqrt(3); T^2 makes up for the smaller gradient.
    odds = 1 / (1 + math.sqrt(3))
    softened = 0.5 * math.log(0.5 / odds) + 0.5 * math.log(0.5 / (1 - odds))
    assert float(divergence_sum(student, teacher, 2.0)) == pytest.approx(4 * softened, rel=1e-5)


def test_tokens_that_the_teacher_does_not_know_are_left_out():
    student = torch.tensor([[0.3, 0.7, 5.0]])
    assert float(divergence_sum(student, student[:, :2], 2.0)) == pytest.approx(0, abs=1e-6)


def test_the_teacher_counts_less_and_less():
    loss, divergence = torch.tensor(2.0), torch.tensor(10.0)
    assert [float(distilled(loss, divergence, share)) for share in (0.0, 0.25, 1.0)] == [10.0, 8.0, 2.0]


def test_only_ordinary_tokens_are_chosen_and_about_so_many():
    ordinary = torch.ones(200, 50, dtype=torch.bool)
    ordinary[:, 0] = False
    places = random_places(ordinary, 0.15, torch.Generator().manual_seed(0))
    assert not places[:, 0].any()
    assert float(places.sum() / ordinary.sum()) == pytest.approx(0.15, abs=0.01)


def test_chosen_tokens_become_masks_random_ones_or_stay():
    ids, places = torch.full((100, 100), 7), torch.ones(100, 100, dtype=torch.bool)
    places[:, :50] = False
    vocabulary = torch.tensor([8, 9])
    read = corrupted(ids, places, 4, vocabulary, torch.Generator().manual_seed(0))
    assert (read[:, :50] == 7).all()
    shares = [(read[:, 50:] == token).float().mean().item() for token in (4, 7)]
    assert shares == pytest.approx([0.8, 0.1], abs=0.02)
    assert set(read.unique().tolist()) == {4, 7, 8, 9}


def test_exact_masks_hide_just_these():
    places = torch.tensor([[False, True, True]])
    assert hidden(torch.tensor([[5, 6, 7]]), places, 4).tolist() == [[5, 4, 4]]


def test_hard_tokens_cost_more_than_the_bar():
    losses = torch.tensor([[9.0, 0.05, 0.2, 0.1], [0.0, 0.0, 0.05, 9.0]])
    ordinary = torch.tensor([[False, True, True, True], [True, True, True, False]])
    assert hard_places(losses, ordinary, 0.1).tolist() == [[False, False, True, False], [False] * 4]


def test_a_limit_keeps_the_hardest_and_the_first_among_equals():
    losses = torch.tensor([[3.0, 1.0, 2.0, 3.0, 0.0]])
    ordinary = torch.ones(1, 5, dtype=torch.bool)
    assert hard_places(losses, ordinary, 0.1, 0.4).tolist() == [[True, False, False, True, False]]
    assert hard_places(losses, ordinary, 0.1, 0.05).tolist() == [[True, False, False, False, False]], "one at least"
    assert hard_places(losses, ordinary, 0.1, 1.0).tolist() == [[True, True, True, True, False]]


def test_texts_are_drawn_up_to_their_tokens_and_the_last_one_by_chance():
    texts = iter(["aaa", "bb", "cccc", "d"])
    assert up_to(5, lambda: next(texts), len, random.Random(0)) == ["aaa", "bb"]
    taken = [up_to(1, lambda: "cccc", len, random.Random(seed)) for seed in range(2000)]
    assert sum(map(len, taken)) / 2000 == pytest.approx(0.25, abs=0.03)
    assert up_to(9, lambda: None, len, random.Random(0)) == []


@pytest.mark.parametrize("lengths", [(10,), (3, 40), (60, 128)])
def test_the_tokens_are_right_in_the_mean_whatever_the_lengths(lengths):
    rng = random.Random(1)
    found = [sum(up_to(70, lambda: rng.choice(lengths), lambda it: it, rng)) for _ in range(4000)]
    assert sum(found) / len(found) == pytest.approx(70, abs=2)


def test_a_shelf_gives_texts_of_like_length_and_each_of_them():
    shelf = Shelf([*range(1, 101)], lambda it: it)
    rng = random.Random(0)
    assert {shelf.near(50, rng) for _ in range(500)} == {*range(42, 58)}
    assert {shelf.near(1, rng) for _ in range(500)} == {*range(1, 17)}
    assert {shelf.near(999, rng) for _ in range(500)} == {*range(85, 101)}
    assert len({shelf.near(None, rng) for _ in range(2000)}) == 100
    assert Shelf([7], lambda it: it).near(3, rng) == 7


def test_what_replay_helps_is_replayed():
    # 0.6 nats in 3 texts against 0.2 nats in 2: rates 0.2 and 0.1.
    assert proportions([0.6, 0.2], [3, 2], 0.2) == pytest.approx([2 / 3, 1 / 3])
    assert proportions([0.6, 0.2], [3, 2], 0.8) == pytest.approx([2 / 3, 1 / 3])


def test_a_domain_that_got_worse_is_tried_in_the_first_half_and_given_up_in_the_second():
    assert proportions([0.4, -1.0], [1, 5], 0.49) == pytest.approx([0.5, 0.5])
    first, second = proportions([0.4, -1.0], [1, 5], 0.5)
    assert second == pytest.approx(1e-9 / 0.4, rel=1e-3)
    assert first == pytest.approx(1)


def test_without_any_drop_all_are_alike():
    assert proportions([-1.0, 0.0], [1, 1], 0.1) == [0.5, 0.5]
    assert proportions([-1.0, 0.0], [1, 1], 0.9) == [0.5, 0.5]


def test_a_domain_of_which_nothing_was_replayed_counts_one_text():
    assert proportions([0.3, 0.3], [0, 2], 0.2) == pytest.approx([2 / 3, 1 / 3])


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 50)), min_size=1, max_size=6), st.floats(0, 1))
def test_proportions_are_probabilities(pairs, progress):
    found = proportions([drop for drop, _ in pairs], [count for _, count in pairs], progress)
    assert sum(found) == pytest.approx(1)
    assert all(chance > 0 for chance in found)


SHELVES = {name: Shelf([name * 10], len) for name in "ab"}


def test_replay_notes_what_it_drew_and_what_came_of_it():
    replay = Replay(["a", "b"], {"a": 3.0, "b": 3.0}, 0.5)
    drawn = [text[0] for _ in range(40) for text in replay.draw(40, SHELVES, len, random.Random(f"{_}"))]
    assert len(drawn) == 80, "half of 40 tokens are two texts of ten"
    assert replay.replayed == {"a": drawn.count("a"), "b": drawn.count("b")}
    assert replay.chances == [0.5, 0.5]
    kept = replay.state()
    replay.measured({"a": 2.0, "b": 3.5, "c": 1.0}, 0.9)
    assert replay.chances[0] == pytest.approx(1)
    assert replay.losses == {"a": 2.0, "b": 3.5}
    assert replay.replayed == {"a": 0, "b": 0}
    other = Replay(["a", "b"], {"a": 0.0, "b": 0.0}, 0.5)
    other.restore(kept)
    assert other.state() == kept


def test_nothing_is_replayed_without_a_past_or_a_share():
    assert Replay([], {}, 0.5).draw(10, {}, len, random.Random(0)) == []
    assert Replay(["a"], {"a": 1.0}, 0.0).draw(10, SHELVES, len, random.Random(0)) == []


def test_a_memory_holds_about_its_tokens():
    rows = memory_rows([10] * 50, 105, random.Random(0))
    assert len(rows) == 10
    assert rows == sorted(set(rows))
    assert memory_rows([10] * 5, 1000, random.Random(0)) == [0, 1, 2, 3, 4]
    assert len(memory_rows([10] * 5, 1, random.Random(0))) == 1
