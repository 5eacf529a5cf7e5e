"""Where a site is made: a folder of its own and kernels, of which nothing is left at the end.

One at a time works in a place. An error, a signal that ends it and a kill all leave what was there
before as it was.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from cm384.table.errors import InputError

# What takes a cold kernel longer than most notebooks take.
IMPORTS = ("ipykernel.kernelapp", "IPython", "cm384.notebooks", "cm384.physics.terms", "seaborn")


@contextmanager
def workshop(place: Path) -> Iterator[Path]:
    """A folder in `place` to make something in; it goes however the making ends.

    Only what was killed outright leaves its folder behind, for the next one to remove.
    """
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock, ended_by(signal.SIGTERM, signal.SIGHUP):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another report is at work in {place}") from None
        for left in place.glob(".site-*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=place) as folder:
            yield Path(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else is within it for the same folder, where its disk knows locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def ended_by(*signals: signal.Signals) -> Iterator[None]:
    """Within it, a signal ends the process as an error would, so that everything is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not for this thread
        return

    def leave(number: int, _: Any) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def workers(folder: Path) -> Iterator[ThreadPoolExecutor]:
    """Threads to run notebooks in; no kernel outlives them, and what they leave behind is in `folder`."""
    forked()
    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="notebook")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        while any(thread.name.startswith("notebook") for thread in threading.enumerate()):
            Kernel.end_all()  # also those that a thread was about to start
            time.sleep(0.05)
        raise
    finally:
        pool.shutdown()
        tempfile.tempdir = before


# --- kernels -------------------------------------------------------------------------------------


def forked() -> None:
    """From now on the kernels that this process starts are forked from one that has long imports done."""
    import jupyter_client.provisioning.local_provisioner as local

    local.launch_kernel = Kernel  # type: ignore[assignment, attr-defined]


class Kernel(psutil.Process):  # type: ignore[misc]
    """A forked kernel as its manager starts it: from a command, with the methods of a `Popen`."""

    stdin = stdout = stderr = None
    lock = threading.Lock()
    started: list[Kernel] = []  # noqa: RUF012
    server: subprocess.Popen[str] | None = None

    def __init__(self, command: list[str], env: dict[str, str], cwd: str | None = None, **_: Any) -> None:
        with Kernel.lock:
            if Kernel.server is None or Kernel.server.poll() is not None:
                Kernel.server = subprocess.Popen(
                    [sys.executable, "-P", "-c", "from cm384.workshop import serve; serve()"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
                )  # fmt: skip
            given, told = Kernel.server.stdin, Kernel.server.stdout
            assert given
            assert told
            print(json.dumps([command, env, cwd]), file=given, flush=True)
            super().__init__(int(told.readline()))
            Kernel.started = [*filter(psutil.Process.is_running, Kernel.started), self]

    def poll(self) -> int | None:
        return None if self.is_running() else 0

    def send_signal(self, number: int) -> None:
        """Send a signal; as from a `Popen`, one that has ended meanwhile gets none."""
        with suppress(psutil.NoSuchProcess):
            super().send_signal(number)

    @classmethod
    def end_all(cls) -> None:
        """Kill all that still run, each with what it started."""
        for kernel in cls.started:
            with suppress(ProcessLookupError):  # it may end at any moment
                if kernel.is_running():
                    os.killpg(kernel.pid, signal.SIGKILL)


def serve() -> None:
    """Fork a kernel for each line of the input, until the process that writes them is gone."""
    for name in IMPORTS:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none stays as a zombie
    for line in sys.stdin:  # noqa: B007
        if os.fork() == 0:
            break
    else:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getppid()
    os.setsid()  # its manager signals a whole group, so it is told of this one only now
    os.write(1, f"{os.getpid()}\n".encode())
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    command, environment, folder = json.loads(line)
    os.chdir(folder or ".")
    os.environ.clear()
    os.environ.update(environment)
    import matplotlib
    from ipykernel.kernelapp import launch_new_instance

    # A kernel says so in the environment, where Matplotlib looks for it as it is imported.
    matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    given = command[command.index("ipykernel_launcher") + 1 :]
    launch_new_instance([*given, f"--IPKernelApp.parent_handle={parent}"])
