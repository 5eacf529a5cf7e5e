"""Forked kernels: each is what a cold one would be, ends when it is told to, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

from cm384 import workshop


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """A kernel and its client."""
    manager, client = start_new_kernel(cwd=str(tmp_path), env=os.environ | {"ONLY_HERE": "1"})
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def answer(client: Any, code: str) -> str:
    """What a kernel prints, and the error if there is one."""
    said: list[str] = []

    def hear(message: Any) -> None:
        said.append(message["content"].get("text", "") or message["content"].get("ename", ""))

    client.execute_interactive(code, timeout=60, output_hook=hear)
    return "".join(said).strip()


def test_one_that_has_ended_meanwhile_gets_no_signal() -> None:
    """Its manager asks whether it runs, and signals it a moment later."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        kernel = workshop.Kernel.__new__(workshop.Kernel)
        psutil.Process.__init__(kernel, process.pid)
    kernel.send_signal(signal.SIGTERM)
    assert kernel.poll() == 0


def test_it_begins_in_its_folder_with_its_environment_and_no_names(
    kernel: tuple[Any, Any], tmp_path: Path
) -> None:
    manager, client = kernel
    assert isinstance(manager.provisioner.process, workshop.Kernel)
    told = "import os, sys; print(os.getcwd(), os.environ['ONLY_HERE'], sys.executable, os.getpid())"
    assert answer(client, told).split() == [
        str(tmp_path), "1", sys.executable, str(manager.provisioner.pid)
    ]  # fmt: skip
    assert answer(client, "cm384") == "NameError"
    assert "seaborn" in answer(client, "print([name for name in sys.modules if name == 'seaborn'])")


def test_it_is_interrupted_and_leaves_no_process(kernel: tuple[Any, Any]) -> None:
    manager, client = kernel
    process = psutil.Process(manager.provisioner.pid)
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    slow = f"import os, time; os.kill(os.getpid(), {signal.SIGINT:d}); time.sleep(60)"
    assert answer(client, slow) == "KeyboardInterrupt"
    manager.shutdown_kernel(now=True)
    assert psutil.wait_procs([process], timeout=10)[1] == []
