"""Sweeps on a real Ray cluster of two nodes on this machine."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from run_samples import TASKS, write_config

from continual.errors import ConfigError
from continual.sweep import LocalBackend, RayBackend, Sweep

pytest.importorskip("ray", reason="Ray is not installed; install it with: pip install '.[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRID = ("method=scratch", "seed=0,1,2")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one CPU each: one that keeps the cluster together, and one that tests may take away."""
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield found
    found.shutdown()


@pytest.fixture
def second_node(cluster):
    """The second node; removed after the test, unless the test has done so."""
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder) -> Path:
    """A small experiment whose cells take some seconds each."""
    stream = {"kind": "simulated", "name": "small", "tasks": TASKS, "train": 48, "dev": 12, "test": 12}
    training = {"epochs": 60, "min_steps": 0, "patience": 60}
    return write_config(
        tmp_path_factory.mktemp("ray") / "small.yaml", tiny_folder("bert"), stream=stream, training=training
    )


@pytest.fixture(scope="module")
def expected(config) -> dict:
    """The numbers of the same sweep on this machine alone."""
    sweep = Sweep.plan(config.parent / "local", str(config), GRID, threads=1)
    assert {outcome.status for outcome in sweep.run(LocalBackend(jobs=2))} == {"finished"}
    return numbers(sweep)


def numbers(sweep: Sweep) -> dict:
    found = {}
    for cell in sweep.chosen:
        summary = json.loads((sweep.folder / cell.name / "summary.json").read_text())
        found[cell.name] = {key: summary[key] for key in ("aware", "routed", "finished")}
    return found


def test_two_nodes_give_the_same_numbers_and_repeat_nothing(cluster, second_node, config, expected, tmp_path):
    """GRID has a cell more than there are CPUs, so one waits."""
    backend = RayBackend(cluster.address)
    sweep = Sweep.plan(tmp_path / "sweep", str(config), GRID, threads=backend.threads)
    assert [outcome.status for outcome in sweep.run(backend)] == ["finished"] * 3
    assert numbers(sweep) == expected
    assert [outcome.status for outcome in sweep.run(backend)] == ["known"] * 3


def test_a_node_that_is_killed_costs_no_number(cluster, second_node, config, expected, tmp_path):
    """As soon as a cell is in work on either node, the second one is killed."""
    sweep = Sweep.plan(tmp_path / "sweep", str(config), GRID, threads=1)
    folders = [sweep.folder / cell.name for cell in sweep.chosen]
    killed_with = []

    def kill_second_node() -> None:
        while sum((folder / "state.json").exists() for folder in folders) < 2:
            time.sleep(0.05)
        killed_with.append([sweep.is_finished(cell) for cell in sweep.chosen])
        cluster.remove_node(second_node, allow_graceful=False)

    killer = threading.Thread(target=kill_second_node)
    killer.start()
    outcomes = sweep.run(RayBackend(cluster.address))
    killer.join()
    assert killed_with == [[False, False, False]], "both cells were in work when the node went"
    assert [outcome.status for outcome in outcomes] == ["finished"] * 3, outcomes
    assert numbers(sweep) == expected


def test_a_failing_cell_stops_no_other(cluster, config, tmp_path):
    sweep = Sweep.plan(tmp_path / "sweep", str(config), ["tuning.layer=0,1", "training.epochs=1"], threads=1)
    (sweep.folder / sweep.chosen[0].name / "run.json").write_text("{")
    failed, finished = sweep.run(RayBackend(cluster.address))
    assert (failed.status, finished.status) == ("failed", "finished")
    assert "start a new run" in failed.sentence


def test_a_cell_that_fits_no_node_is_refused(cluster, config, tmp_path):
    sweep = Sweep.plan(tmp_path / "sweep", str(config), ["threads=64"])
    with pytest.raises(ConfigError, match="uses 64 threads and the largest node of the Ray cluster has 1 CPUs"):
        sweep.run(RayBackend(cluster.address))


def test_ctrl_c_stops_the_cells_and_they_can_be_continued_elsewhere(cluster, config, expected, tmp_path):
    where = ["--runs-dir", str(tmp_path), "--name", "sweep", "--backend", "ray", "--ray-address", cluster.address]
    words = [sys.executable, "-m", "continual", "sweep", str(config), *GRID, *where]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    begun = tmp_path / "sweep" / "seed=0" / "state.json"
    while not begun.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Go on with: continual sweep" in said
    assert "Traceback" not in said
    sweep = Sweep.plan(tmp_path / "sweep", str(config), GRID)
    assert not all(sweep.is_finished(cell) for cell in sweep.chosen)
    # A cell may have come to its end before it was asked to stop.
    outcomes = [outcome.status for outcome in sweep.run(LocalBackend(jobs=2))]
    assert "finished" in outcomes
    assert set(outcomes) <= {"finished", "known"}
    assert numbers(sweep) == expected


def test_a_cluster_out_of_reach_ends_in_one_sentence(config, tmp_path):
    sweep = Sweep.plan(tmp_path / "sweep", str(config), ["seed=0"], threads=1)
    with pytest.raises(ConfigError, match=r"No Ray cluster answers at 127\.0\.0\.1:9 .*correct --ray-address"):
        sweep.run(RayBackend("127.0.0.1:9"))
