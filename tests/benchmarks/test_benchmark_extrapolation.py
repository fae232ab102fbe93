"""The tables of docs/scaling.md: counts by hand, and what is said where nothing was measured."""

import json

import pytest

from benchmarks import common
from benchmarks.measure import Row
from benchmarks.tables import results, scaling
from continual.pool import index


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for module in (common, results):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    return tmp_path


@pytest.fixture
def measured(folder):
    """A pool of 10^5 prompts with 10^6 keys, and rates that are easy to divide by."""
    search = {"median, ms": {"median": 2.0}, "first search of a process, s": 1.5}
    rows = [
        Row("opening 100,000 prompts", "", "", 0.2, True, "s"),
        Row("peak memory of opening 100,000 prompts", "", "", 0.25, True),
        Row("PromptPool.search: recall", "", "", 0.96, True, details=search),
        Row("PromptPool.search: 95th percentile of a query", "", "", 2.5, True, "ms"),
        Row("adding a prompt: mean", "", "", 0.03, True, "s"),
        Row("adding a prompt: the one after which the largest graph grows", "", "", 0.1, True, details={"seconds": 20}),
    ]
    sizes = {"catalogue": 3000.0, "keys": 1536.0, "graphs": 1800.0}
    build = {"write": 60.0, "index and search graph": 300.0}
    common.save_group("pool", "pool", rows, 1.0, prompts=10**5, keys=10**6, build=build, bytes=sizes)
    rates = {
        "read from disk, bytes a second": 1e9,
        "bfloat16 to float32, bytes a second": 5e9,
        "float32 product, operations a second": 2e11,
    }
    parts = {"default": {"keys": 24_576, "files": 460_000}, "small": {"keys": 24_576, "files": 176_000}}
    common.save_group("scaling", "scaling", [], 1.0, rates=rates, sizes=parts)
    return folder


def figures(table: str) -> dict[str, str]:
    return {line.split(" | ")[0].lstrip("| "): line.split(" | ")[-1].rstrip(" |") for line in table.splitlines()[2:]}


def test_sizes_by_readout(measured):
    assert "| `keys` | 24.6 | 24.6 |" in scaling.sizes()
    assert scaling.sizes().splitlines()[-1] == "| both files | 460.0 | 176.0 |"


def test_a_million_prompts(measured):
    found = figures(scaling.million())
    assert (found["on disk, default readout"], found["on disk, small readout"]) == ("460 GB", "176 GB")
    assert found["keys"] == "24.6 GB"  # 16 * 384 * 4 = 24,576 bytes each
    assert found["graphs, on disk and, once searched, in memory"] == "28.8 GB"
    assert found["catalogue"] == "3 GB"
    assert (found["opening"], found["memory of opening"]) == ("2 s", "256 MB")
    assert found["a search on one core"] == "10 ms"  # breadth grows with the root of 16 times the keys
    # A key enters 1.97 graphs on its way into one of 10^6 keys, and 2.76 into one of 16 times as many.
    assert (found["adding, mean"], found["adding, worst"]) == ("42 ms", "5.33 minutes")
    assert found["all graphs anew"] == "80 minutes"


def test_a_billion_keys(measured):
    found = figures(scaling.billion())
    assert (found["key file, on disk"], found["graphs as today"]) == ("1.54 TB", "1.8 TB")
    assert found["codes of 64 bytes and row numbers"] == "72 GB"
    # 2 * 65,536 * 64 * 65,536 * 384 * 10 = 2.11e15 operations at 2e11 a second.
    assert found["training the centres"] == "2.93 hours"
    # 10^9 * 2 ms * 98 / 384, on as many cores as the machine has.
    days = 10**9 * 2e-3 * 98 / 384 / results.result("pool")["groups"]["pool"]["machine"]["cpus"] / 86_400
    assert found["finding the list of each key"] == f"{days:.3g} days"
    assert found["coding the keys"] == "16.4 minutes"
    assert found["read by a search"] == "70.3 MB"  # 64 * 15,258.8 keys of 72 bytes


def test_breadths_are_those_of_the_searches():
    assert index._breadth(65_536, 1).efSearch == scaling.SMALL_BREADTH
    assert index._breadth(1_000_000, 1).efSearch == scaling.BREADTH


def test_how_many_graphs_a_key_enters():
    assert scaling.graphs_entered(1_000) == 1  # the first graph takes in what comes at once
    # 1,000 keys are too few for a graph of 40,000 and become one of their own; with the next 1,000 both go into it.
    assert scaling.graphs_entered(40_000) == 3_000 / 2_000


def test_the_shape_has_the_weights_that_its_name_says():
    assert scaling.LARGE.layer == 855_638_016
    assert scaling.LARGE.weights == 70_552_387_584


def test_a_backbone_of_70_billion_weights(measured):
    found = figures(scaling.backbone())
    assert (found["weights"], found["a layer on disk"]) == ("141 GB", "1.71 GB")
    assert found["in memory beside `memory_mb`: the largest matrix, float32"] == "940 MB"
    # 80 layers: 136.9e9 bytes; 2 * 68.45e9 * 1,920 = 2.63e14 operations.
    assert (found["reading all layers"], found["making them float32"]) == ("2.28 minutes", "27.4 s")
    assert found["their products for 64 texts of 30 tokens"] == "21.9 minutes"
    assert found["a batch of the frozen pass"] == "24.6 minutes"
    assert found["a task of 10,000 texts"] == "2.69 days"
    assert found["kept of a text: states before the prompt's layer"] == "983 kB"
    assert found["kept of a text: features of the default readout"] == "7.96 MB"
    # Two layers, forward and as much backward: 2 * 2 * 2 * 855,638,016 * 480 operations.
    assert found["a training step of 16 texts, two layers above the prompt"] == "16.4 s"


@pytest.mark.parametrize(
    ("value", "told"), [(0.0021, "2.1 ms"), (1.5, "1.5 s"), (119, "119 s"), (120, "2 minutes"), (200_000, "2.31 days")]
)
def test_times_in_words(value, told):
    assert scaling.in_seconds(value) == told


@pytest.mark.parametrize(("value", "told"), [(12, "12 bytes"), (1_540, "1.54 kB"), (999e9, "999 GB"), (2e12, "2 TB")])
def test_sizes_in_words(value, told):
    assert scaling.in_bytes(value) == told


def test_what_was_not_measured_is_said(folder):
    tables = (scaling.sizes, scaling.million, scaling.billion, scaling.backbone)
    assert {table() for table in tables} == {results.NOT_YET}
    path = common.save_group("scaling", "scaling", [], 1.0, sizes={"head": 1, "total": 1})
    assert "sizes" in json.loads(path.read_text())
    assert scaling.sizes() == results.NOT_YET
