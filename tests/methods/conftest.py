"""Schools on tiny encoders, one for all tests of methods and one for each kind of prompt."""

import pytest
from school import School

from continual.tuning import build_tuning


@pytest.fixture(scope="module")
def school(tiny_encoder) -> School:
    return School(tiny_encoder("bert"), build_tuning({"name": "late", "length": 3, "layer": 1}))


@pytest.fixture(
    scope="module",
    params=[{"name": "input", "length": 3}, {"name": "late", "length": 3, "layer": 2}, {"name": "deep", "length": 3}],
    ids=lambda spec: spec["name"],
)
def any_school(request, tiny_encoder) -> School:
    return School(tiny_encoder("roberta"), build_tuning(request.param))
