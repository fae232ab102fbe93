"""The course of the rate, and the order of batches."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from continual.errors import ConfigError, LearningError
from continual.pretraining.batches import TokenBatches, _cuts
from continual.pretraining.optimisation import OptimisationConfig
from continual.pretraining.schedule import cooldown_start, rate_factor, total_from


def factors(total: int | None, count: int, **settings: object) -> list[float]:
    config = OptimisationConfig(**{"warmup": 4, "cooldown": 0.2, **settings})
    return [rate_factor(config, step, total) for step in range(count)]


def test_inverse_square_root_by_hand():
    open_end = [0.25, 0.5, 0.75, 1.0, *(math.sqrt(4 / step) for step in (5, 6, 7, 8))]
    assert factors(None, 8) == pytest.approx(open_end)
    # Ten steps: the last two fall from sqrt(4/9) = 2/3 to 0.
    assert factors(10, 10) == pytest.approx([*open_end, 2 / 3, 1 / 3])


def test_cosine_by_hand():
    values = factors(12, 12, schedule="cosine", steps=12)
    assert values[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert values[8] == pytest.approx(0.5)
    assert values[11] == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)


@given(st.integers(1, 10**6), st.floats(0, 0.99))
def test_the_total_that_a_moment_decides_begins_its_cool_down_there(step, cooldown):
    assert cooldown_start(total_from(step, cooldown), cooldown) == step


@pytest.mark.parametrize(
    "settings",
    [
        {"minutes": 0},
        {"learning_rate": -1},
        {"steps": 0},
        {"cooldown": 1.0},
        {"label_smoothing": 1.5},
        {"clip_norm": -1},
        {"schedule": "linear"},
        {"precision": "fp16"},
        {"schedule": "cosine"},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"^training\..*\.$"):
        OptimisationConfig(**settings)


def test_batches_are_cut_by_hand():
    # 1 and 2 fill two places of 2; a third 2 would make 6; 3 does not fit beside it; 9 is alone.
    assert _cuts([1, 2, 2, 3, 9], 4) == [0, 2, 3, 4]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 100), st.integers(0, 3))
def test_an_epoch_holds_every_row_once_within_the_limit(lengths, tokens, epoch):
    batches = TokenBatches(torch.tensor(lengths), tokens, seed=1).epoch(epoch)
    assert sorted(torch.cat(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        longest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or longest * len(rows) <= tokens


def test_the_batches_of_a_step_do_not_depend_on_where_one_begins():
    batches = TokenBatches(torch.randint(1, 20, (50,)), 60, seed=2)
    size = len(batches.epoch(0))
    whole = [rows.tolist() for _, (_, rows) in zip(range(3 * size), batches.since(0), strict=False)]
    for step in (1, size - 1, size, size + 3):
        epoch, rows = next(batches.since(step))
        assert (epoch, rows.tolist()) == (step // size, whole[step])
    assert whole[:size] != whole[size : 2 * size], "another order in each epoch"


def test_nothing_to_learn_from():
    with pytest.raises(LearningError, match="no text to learn from"):
        TokenBatches(torch.zeros(0, dtype=torch.long), 10, 0)
