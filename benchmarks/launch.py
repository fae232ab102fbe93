"""How two processes are started that learn one run together, on the CPU."""

import os
import socket
import sys
from collections.abc import Sequence

PROCESSES = 2


def together(words: Sequence[str]) -> list[str]:
    """The command that starts `continual` with `words` in two processes, as `accelerate launch` does."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(PROCESSES)]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", str(_free_port()), "--num_cpu_threads_per_process", "1"]
    return [*launch, "-m", "continual", *words]


def alone(words: Sequence[str]) -> list[str]:
    """The command that starts `continual` with `words` in one process."""
    return [sys.executable, "-m", "continual", *words]


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with what keeps `accelerate` off other devices."""
    return os.environ | {"ACCELERATE_USE_CPU": "true"} | more


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
