"""Kernels that are forked from a process which has the long imports behind it.

Those imports take a kernel longer than most notebooks take. Cold are the kernels that other processes
start: those of the site, where every notebook runs once, of a `run` from the shell and of bare papermill.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.context import ForkServerProcess
from typing import Any

import jupyter_client.provisioning.local_provisioner as local

IMPORTS = ["ipykernel.kernelapp", "IPython", "cm384.notebooks", "cm384.physics.terms", "seaborn"]


class Kernel(ForkServerProcess):
    """A kernel as its manager starts it: from a command, with the methods of a `Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, command: list[str], env: dict[str, str], cwd: str | None = None, **_: Any) -> None:
        super().__init__(daemon=True)
        self.command, self.environment, self.folder = command, env, cwd
        self.start()
        while self.is_alive() and os.getpgid(self.pid or 0) != self.pid:
            time.sleep(0.001)  # its manager signals a whole group, which until then is our own

    def run(self) -> None:
        os.setsid()
        os.chdir(self.folder or ".")
        os.environ.clear()
        os.environ.update(self.environment)
        import matplotlib
        from ipykernel.kernelapp import launch_new_instance

        # A kernel says so in the environment, where Matplotlib looks for it as it is imported.
        matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
        given = self.command[self.command.index("ipykernel_launcher") + 1 :]
        launch_new_instance([*given, f"--IPKernelApp.parent_handle={os.getppid()}"])

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self) -> int | None:
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid or 0, number)


def install() -> None:
    """From now on the kernels that this process starts are forked."""
    multiprocessing.set_forkserver_preload(IMPORTS)
    local.launch_kernel = Kernel  # type: ignore[assignment]
