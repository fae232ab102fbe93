"""What the benchmark of several processes and of backbones on disk computes from what its processes tell."""

import pytest

from benchmarks.scaling import offload_rows, team_rows


def child(**other):
    told = {"loading": 150.0, "pass": 160.0, "held": 59.0, "largest": 90.0, "total": 430.0, "seconds": 2.0}
    return told | {"features": "same"} | other


def test_the_peak_is_compared_with_limit_table_batch_and_allocator():
    plain = [child(**{"pass": 480.0, "seconds": 1.0}), child(**{"pass": 470.0, "seconds": 4.0})]
    memory, seconds = offload_rows.compared(60, [child(), child(loading=170.0)], plain)
    assert (memory.measured, memory.low, memory.high, memory.met) == (165.0, 160.0, 170.0, True)
    assert "at most 216 MB" in memory.goal  # 60 + 90 + 50 + 16
    assert (seconds.measured, seconds.met) == (1.25, True)
    assert offload_rows.compared(60, [child(loading=217.0), child()], plain)[0].met is False


def test_a_limit_must_be_used_and_the_bits_be_the_same():
    plain = [child(**{"pass": 480.0})]
    assert offload_rows.compared(60, [child(held=53.0)], plain)[0].met is False
    assert offload_rows.compared(60, [child(held=54.0)], plain)[0].met is True
    assert offload_rows.compared(60, [child(features="other")], plain)[1].met is False


def test_two_processes_are_compared_turn_by_turn():
    def run(train: float, accuracy: float) -> dict:
        return {"seconds": {"train": train}, "aware": {"matrix": [[None], [accuracy]]}, "whole": 2 * train}

    apart, faster = team_rows.compared([run(3.0, 0.5), run(8.0, 0.5)], [run(2.0, 0.5), run(4.0, 0.75)])
    assert (apart.measured, apart.high, apart.met) == (0.125, 0.25, False)
    assert (faster.measured, faster.low, faster.high, faster.met) == (1.75, 1.5, 2.0, True)
    assert faster.details["whole runs, s"]["single"]["median"] == pytest.approx(11.0)
