"""How many prompts of a pool are ranked for a new task."""

import pytest

from continual.errors import ConfigError
from continual.settings import RANKED_WHOLE, RECALLED, TransferConfig


@pytest.mark.parametrize(
    ("recall", "prompts", "expected"),
    [
        (None, 0, 0),
        (None, 7, 7),
        (None, RANKED_WHOLE, RANKED_WHOLE),
        (None, RANKED_WHOLE + 1, RECALLED),
        (5, 7, 5),
        (5, 10**6, 5),
        (0, 7, 0),
    ],
)
def test_small_pools_are_ranked_whole_unless_a_number_is_set(recall, prompts, expected):
    assert TransferConfig(recall=recall).recalled(prompts) == expected


def test_a_negative_number_is_refused():
    with pytest.raises(ConfigError, match="expected 0 or more, or null"):
        TransferConfig(recall=-1)
