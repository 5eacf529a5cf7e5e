"""Fixtures that test files share: the site that `report` builds, and a browser to open it in."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import forked  # noqa: F401
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, sync_playwright
from rendered import BROWSER, CHROMIUM, REPORT, Tab, run
from visiting import Visit, visit

from cm384.notebooks import NOTEBOOKS

# A shell starts what runs in the background deaf to Ctrl-C, and what tests start would be so too.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, str(NOTEBOOKS / "_ext"))  # the modules of the site are no package


# The longest files, those that wait for processes of their own and for the site: begun first, so that no
# worker ends with them alone. The first of them builds the site for all, the two first visit its pages.
FIRST = ("test_browser.py", "test_browser_defects.py", "test_reruns.py", "test_report.py",
         "test_papermill.py", "test_committed.py", "test_derived.py", "test_site.py",
         "test_calculator.py", "test_scorecard_page.py", "test_sweep.py")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that wait longest come first; the rest stays in order."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is made once for all workers of the test run."""
    folder = tmp_path_factory.getbasetemp()
    # each worker has a folder of its own below that of the run
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@contextmanager
def locked(path: Path, flags: int = 0) -> Iterator[None]:
    """Only one worker at a time; with `LOCK_NB`, `BlockingIOError` where another one is."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | flags)
        yield


@pytest.fixture(scope="session")
def build(shared: Path) -> Path:
    """The folder that a whole `report` writes to, once for all workers of the test run."""
    folder, done = shared / "report", shared / "report-done"
    with locked(shared / "report-lock"):  # the first builds, the others wait for it
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            found = run(REPORT, folder, PYTHONHASHSEED="1")
            assert found.returncode == 0, found.stderr
            done.touch()
    return folder


@pytest.fixture(scope="session")
def site(build: Path) -> Path:
    """The folder of the site that `report` builds."""
    return build / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; of a module, as it leaves an event loop running until it is closed."""
    if BROWSER is None:
        missing = "no browser test was run: chromium is missing (apt-get install chromium-headless-shell)"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Tabs of one profile: one of its own for each costs as much as opening a page."""
    with browser.new_context() as opened:
        yield opened


@pytest.fixture
def tab(context: BrowserContext, site: Path) -> Iterator[Tab]:
    """A new tab that notes errors and outside requests; open a page of the site in it."""
    page = context.new_page()
    yield Tab(page, site)
    with suppress(Error):  # of a page that keeps nothing
        page.evaluate("localStorage.clear()")
    page.close()


@pytest.fixture(scope="module")
def visits(browser: Browser, site: Path, shared: Path) -> dict[str, Visit]:
    """Every page, visited once: by this worker, or by another one that asked for them meanwhile."""
    folder = shared / "visits"
    folder.mkdir(exist_ok=True)
    paths = sorted(site.glob("*.html"), key=lambda path: (-path.stat().st_size, path.name))
    found: dict[str, Visit] = {}
    with browser.new_context() as context:
        tab = Tab(context.new_page(), site)
        for flags in (fcntl.LOCK_NB, 0):  # first those that nobody is at, then wait for the others
            for path in paths:
                kept = folder / f"{path.name}.pickle"
                with suppress(BlockingIOError), locked(folder / f"{path.name}.lock", flags):
                    if not kept.exists():
                        kept.write_bytes(pickle.dumps(visit(tab, path.name)))
                    found[path.name] = pickle.loads(kept.read_bytes())
    return found
