"""The site as `report` builds it: complete, closed in itself, and strict about its links."""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import page_checks
import psutil
import pytest
from links import CLAIM_ID, linked
from rendered import BUILD, RENDER, run

from cm384.ledger.claims import load_claims
from cm384.notebooks import NOTEBOOKS, ROOT, notebooks
from cm384.table.files import read_keys


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_site_has_a_page_for_every_notebook(site: Path) -> None:
    names = [path.stem for path in notebooks()]
    assert {path.stem for path in site.glob("[0-9]*.html")} == set(names)
    article = re.search(r"<article.*?</article>", read(site / "index.html"), flags=re.DOTALL)
    assert article
    listed = page_checks.Page(article[0]).links
    assert [name for name in names if f"{name}.html" not in listed] == []


def test_pages_show_what_the_notebooks_show(site: Path) -> None:
    """The page of the scorecard carries its bold answer, its picture and its table."""
    page = read(site / "00-scorecard.html")
    assert re.search(r"<strong>Of \d+ claims", page)
    assert re.search(r"<td><a [^>]+>S000-02</a></td>", page)


def test_every_picture_has_both_widths_its_finding_and_its_numbers(site: Path) -> None:
    """As many as the notebooks draw; the numbers are those of the committed notebook."""
    count = 0
    for path in notebooks():
        page, cells = read(site / f"{path.stem}.html"), nbformat.read(path, as_version=4).cells
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        drawn = [o.data["text/plain"] for o in outputs if "image/png" in o.get("data", {})]
        shown = re.findall(r"<figure>(.*?)</figure>", page, flags=re.DOTALL)
        assert len(shown) == len(drawn), path.stem
        for text, said in zip(shown, drawn, strict=True):
            wide, narrow = (re.search(rf'{name}="([^"]+)"', text) for name in ("src", "srcset"))
            assert wide
            assert narrow
            sizes = [struct.unpack(">II", (site / m[1]).read_bytes()[16:24]) for m in (wide, narrow)]
            assert sizes[0][0] > sizes[1][0]
            finding, _, numbers = said.partition("\n")
            (alt,) = re.findall(r'alt="([^"]*)"', text)
            assert html.unescape(alt) == finding
            assert read(site / wide[1].replace(".png", ".csv")) == numbers
            count += 1
    assert count > 15


def test_opening_a_page_asks_nothing_of_the_network(site: Path) -> None:
    asked = {path.name: page_checks.requests(read(path)) for path in site.rglob("*.html")}
    asked |= {path.name: page_checks.style_requests(read(path)) for path in site.rglob("*.css")}
    assert len(asked) > 5
    assert {name: found for name, found in asked.items() if found} == {}


def test_pages_load_the_mathjax_that_lies_beside_them(site: Path) -> None:
    page = page_checks.Page(read(site / "01-package.html"))
    (script,) = (name for name in page.fetched if "tex-svg" in name)
    assert (site / script.split("?")[0]).stat().st_size > 1e6


def test_every_link_and_anchor_resolves(site: Path) -> None:
    assert list(page_checks.broken_links(page_checks.read_pages(site))) == []


def test_every_source_in_a_table_leads_to_the_bibliography(site: Path) -> None:
    keys = frozenset(read_keys())
    linked: set[str] = set()
    for path in site.glob("[0-9]*.html"):
        for table in re.findall(r"<table.*?</table>", read(path), flags=re.DOTALL):
            named = {html.unescape(key) for key in re.findall(r"<code>([^<]+)</code>", table)}
            links = re.findall(r'<a href="bibliography.html#[^"]+"><code>([^<]+)</code></a>', table)
            assert set(links) == named & keys == named, path.name
            linked |= named
    assert len(linked) > 10


def test_every_claim_in_a_table_leads_to_its_working(site: Path) -> None:
    """That each of these links resolves is the test of links above."""
    known = {claim.id for claim in load_claims()}
    linked: set[str] = set()
    for path in site.glob("*.html"):
        for table in re.findall(r"<table.*?</table>", read(path), flags=re.DOTALL):
            links = re.findall(r'<a href="article-\w+\.html#([\w-]+)">(S\d+-\w+)</a>', table)
            assert all(anchor == name.lower() for anchor, name in links)
            named = known & set(CLAIM_ID.findall(re.sub(r"<[^>]*>", " ", table)))
            assert named == {name for _, name in links}, path.name
            linked |= named
    assert linked == known


def test_sources_stand_under_their_keys_as_they_are_printed(site: Path) -> None:
    """In the order of the keys; titles keep their capitals; no date is said twice."""
    page = re.sub(r'<span class="fn-bracket">.</span>', "", read(site / "bibliography.html"))
    labels = re.findall(r'<span class="label">([^<]*)</span>', page)
    assert labels == sorted(read_keys())
    assert "GenZ: a generative LLM analyzer" in page
    assert not re.search(r"(?:^|\W)((?:[A-Z][a-z]+ )?20\d\d), (?:[A-Z][a-z]+ )?20\d\d\.", page)


def test_every_source_has_an_entry_where_tables_link_to(site: Path) -> None:
    anchors = page_checks.Page(read(site / "bibliography.html")).anchors
    keys = frozenset(read_keys())
    links = page_checks.Page(linked("".join(f"<code>{key}</code>" for key in keys))).links
    named = {link.partition("#")[2] for link in links}
    assert len(named) == len(keys)
    assert named - anchors == set()


# --- defects -------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The sources of a site with one notebook, to be quick; those of a whole one are like it."""
    others = [path.name for path in notebooks() if path.stem != "02-supernode"]
    skipped = shutil.ignore_patterns(*others, ".*", "__pycache__")
    shutil.copytree(NOTEBOOKS, tmp_path / "src", ignore=skipped)
    for path in (*(tmp_path / "src").glob("*.md"), tmp_path / "src" / "02-supernode.ipynb"):
        elsewhere = r"\[([^][]+)\]\((?!02)\d\d-[\w-]+\.ipynb[^)]*\)"
        path.write_text(re.sub(elsewhere, r"\1", read(path)), encoding="utf-8")
    listing = tmp_path / "src" / "_templates" / "notebooks.j2"
    listing.write_text("- [the one](02-supernode.ipynb)\n", encoding="utf-8")
    return tmp_path


def test_planted_broken_links_fail_the_build(small: Path) -> None:
    """It builds, in any folder and order to the same bytes; with the links it does not."""
    other = small / "some where else"
    shutil.copytree(small / "src", other / "src")
    for place, seed in ((small, "1"), (other, "2")):
        done = run(RENDER, place, PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
    found, again = (
        {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        for site in (small / "site", other / "site")
    )
    assert [name for name in found | again if found.get(name) != again.get(name)] == []

    index = small / "src" / "index.md"
    links = "[a](03-nowhere.ipynb), [b](02-supernode.ipynb#no-such-heading), {cite}`nobody2099`"
    index.write_text(f"{read(index)}\n{links}\n", encoding="utf-8")
    done = run(RENDER, small)
    assert done.returncode != 0
    assert "the site was not built" in done.stderr
    for name in ("03-nowhere", "no-such-heading", "nobody2099"):
        assert re.search(rf"index\.md:\d+: WARNING: .*{name}", done.stderr), done.stderr


def test_planted_link_to_nowhere_is_seen(site: Path, tmp_path: Path) -> None:
    """The checks above, on a page with one defect of each kind."""
    shutil.copytree(site, tmp_path / "site")
    page = tmp_path / "site" / "index.html"
    planted = (
        '<a href="no-page.html">a</a><a href="bibliography.html#cite-nobody">b</a>'
        '<link rel="stylesheet" href="https://example.org/a.css"><img src="//example.org/b.png">'
        "<style>p { background: url('https://example.org/c.png') }</style></body>"
    )
    page.write_text(read(page).replace("</body>", planted), encoding="utf-8")
    assert list(page_checks.broken_links(page_checks.read_pages(tmp_path / "site"))) == [
        "index.html: no-page.html",
        "index.html: bibliography.html#cite-nobody",
    ]
    assert len(page_checks.requests(read(page))) == 3


# --- when it goes wrong --------------------------------------------------------------------------

# A report on one notebook that sleeps, with a plain site, so that it can be stopped in between.
SLEEPING = BUILD.format(
    call="notebooks.NOTEBOOKS = Path(sys.argv[1]) / 'notebooks'; notebooks.report(lambda j, _: j)"
)


@pytest.fixture
def sleeping(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Starts a report whose notebook has some code; a site of before lies there."""
    sources, site = tmp_path / "notebooks", tmp_path / "site"
    for folder in (sources, site):
        folder.mkdir()
    (site / "index.html").write_text("of before", encoding="utf-8")
    (sources / "conf.py").write_text("extensions = ['myst_nb']\nnb_execution_mode = 'off'\n")
    (sources / "index.md").write_text("# A site\n\n```{toctree}\n00-only\n```\n")
    (tmp_path / "program.py").write_text(SLEEPING, encoding="utf-8")

    def start(code: str) -> subprocess.Popen[str]:
        cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell(code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), sources / "00-only.ipynb")
        command = [sys.executable, tmp_path / "program.py", tmp_path]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)

    return start


def left(build: Path) -> set[str]:
    """What lies in the build folder beside the test's own files."""
    return {path.name for path in build.iterdir()} - {"notebooks", "program.py", ".lock"}


def kernels(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below a report, when its notebook is running."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = psutil.Process(process.pid).children(recursive=True)
        if any("ipykernel_launcher" in " ".join(child.cmdline()) for child in found):
            return found
        time.sleep(0.2)
    raise AssertionError("no kernel was started")


def test_a_failing_notebook_leaves_the_site_of_before(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    _, said = (report := sleeping("raise ValueError('on purpose')")).communicate(timeout=120)
    assert report.returncode != 0
    assert "00-only: ValueError: on purpose" in said
    assert left(tmp_path) == {"site"}
    assert read(tmp_path / "site" / "index.html") == "of before"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_an_ended_report_leaves_no_process_and_the_site_of_before(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    report = sleeping("import time; time.sleep(300)")
    below = kernels(report)
    report.send_signal(number)
    report.communicate(timeout=60)  # nobody holds its pipe open
    assert report.returncode != 0
    assert psutil.wait_procs(below, timeout=10)[1] == []
    assert read(tmp_path / "site" / "index.html") == "of before"
    if number != signal.SIGKILL:
        assert left(tmp_path) == {"site"}
        return
    assert len(left(tmp_path)) == 2  # the next one removes what was in the making
    report = sleeping("1")
    _, said = report.communicate(timeout=120)
    assert report.returncode == 0, said
    assert left(tmp_path) == {"site"}
    assert "A site" in read(tmp_path / "site" / "index.html")


def test_a_second_report_gives_way_to_the_first(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = sleeping("import time; time.sleep(8)")
    kernels(first)
    second = sleeping("1")
    _, said = second.communicate(timeout=60)
    assert second.returncode != 0
    assert "another report is at work" in said
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    assert left(tmp_path) == {"site"}
    assert "A site" in read(tmp_path / "site" / "index.html")


def test_outside_its_checkout_report_touches_nothing(tmp_path: Path) -> None:
    """A package in the folder of somebody else, whose own `build/src` lies where ours would."""
    shutil.copytree(ROOT / "lib" / "cm384", tmp_path / "vendor" / "cm384")
    theirs = tmp_path / "build" / "src" / "main.c"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("precious", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cm384", "report"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(tmp_path / "vendor")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "cm384: no notebooks beside this package: run and report need the checkout"
    ]
    assert [*(tmp_path / "build").rglob("*")] == [theirs.parent, theirs]
    assert read(theirs) == "precious"
