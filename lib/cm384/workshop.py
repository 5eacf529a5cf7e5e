"""Where a site is made: a folder of its own and processes, of which nothing is left at the end.

One at a time works in a place. An error, a signal that ends it and a kill all leave what was there
before as it was.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any

import psutil

from cm384.table.errors import InputError


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
def ended_by(*signals: signal.Signals) -> Iterator[None]:
    """Within it, a signal ends the process as an error would, so that everything is cleaned up."""

    def leave(number: int, _: Any) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def workers(folder: Path) -> Iterator[ProcessPoolExecutor]:
    """Processes to run notebooks in; none outlives this one, and what they leave is in `folder`."""
    spawn = get_context("spawn")
    pool = ProcessPoolExecutor(mp_context=spawn, initializer=_follow, initargs=(str(folder),))
    try:
        yield pool
    except BaseException:
        for worker in active_children():
            kernels = psutil.Process(worker.pid).children()
            worker.kill()
            for kernel in kernels:
                with suppress(psutil.NoSuchProcess):
                    kernel.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _follow(folder: str) -> None:
    """End this worker, and its kernel with it, as soon as the process that started it is gone."""
    tempfile.tempdir = folder

    def watch() -> None:
        if parent := parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
