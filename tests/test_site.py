"""The site as `report` builds it: complete, closed in itself, and strict about its links."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
from pathlib import Path

import nbformat
import page_checks
import pandas as pd
import pytest
from links import CLAIM_ID, linked
from rendered import RENDER, run

from cm384.ledger import record
from cm384.ledger.claims import load_claims
from cm384.notebooks import NOTEBOOKS, notebooks
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
    assert re.search(r"<strong>\d+ of \d+ distinct sentences hold", page)
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


def test_every_page_says_what_it_is_and_how_to_cite_it(site: Path) -> None:
    """What it is about, a picture for shared links, the day of the data, and its notebook."""
    found = {path.stem: read(path) for path in site.glob("*.html") if path.stem != "search"}
    said = [re.findall(r'<meta name="description" content="([^"]*)"', page) for page in found.values()]
    assert all(len(texts) == 1 and 30 < len(texts[0]) < 600 for texts in said)
    assert len({texts[0] for texts in said}) == len(said)
    (image,) = {*re.findall(r'<meta property="og:image" content="([^"]*)"', "".join(found.values()))}
    assert (site / image).is_file()
    day = record.data_version()
    for name, page in found.items():
        (foot,) = re.findall(r'<footer class="about">(.*?)</footer>', page, re.S)
        assert f"Data as of {day[:10]}" in foot, name
        assert re.search(rf'class="cite">CloudMatrix 384 from first principles: .+data of {day}', foot), name
        assert ("this notebook" in foot) == (name[:2].isdigit()), name
        assert 'rel="icon"' in page or 'rel="shortcut icon"' in page, name
    for path in notebooks():
        assert (site / "_static/data" / path.name).read_bytes() == path.read_bytes()


def test_pages_stand_in_four_groups(site: Path) -> None:
    (nav,) = re.findall(r'<nav class="bd-links.*?</nav>', read(site / "index.html"), re.S)
    assert re.findall(r'class="caption-text">([^<]+)<', nav) == ["Answers", "Working", "Try", "Reference"]
    names = [name.strip() for name in re.findall(r'reference internal" href="[^"]+">([^<]+)<', nav)]
    assert all(len(name) < 40 for name in names)
    assert len(names) > 20


def test_tables_are_offered_as_csv_and_json(site: Path) -> None:
    for path in (site / "_static/data").glob("*.csv"):
        lines = json.loads(read(path.with_suffix(".json")))
        assert [*lines[0]] == read(path).splitlines()[0].split(",")
        assert len(lines) == len(pd.read_csv(path, dtype=str))


def test_opening_a_page_asks_nothing_of_the_network(site: Path) -> None:
    asked = {path.name: page_checks.requests(read(path)) for path in site.rglob("*.html")}
    asked |= {path.name: page_checks.style_requests(read(path)) for path in site.rglob("*.css")}
    assert len(asked) > 5
    assert {name: found for name, found in asked.items() if found} == {}


def test_no_style_looks_into_the_whole_scorecard(site: Path) -> None:
    """A browser would do so for each of its cells, which took seconds."""
    assert read(site / "00-scorecard.html").count('<table class="long">') == 1
    looks = [
        one for path in site.glob("_static/*.css") for one in re.findall(r"table[^ ,{]*:has", read(path))
    ]
    assert len(looks) == 2
    assert {look.removesuffix(":has") for look in looks} == {"table:not(.long)"}


def test_formulas_are_drawn_without_a_script_and_dollars_are_text(site: Path) -> None:
    assert read(site / "14-did-it-beat-nvidia.html").count("<math ") == 1
    assert not [path.name for path in site.rglob("*") if "mathjax" in path.name or "tex-svg" in path.name]
    assert not [path.name for path in site.glob("*.html") if re.search(r"MathJax|mathjax_config", read(path))]


def test_every_link_and_anchor_resolves(site: Path) -> None:
    assert list(page_checks.broken_links(page_checks.read_pages(site))) == []


def test_every_source_in_a_table_leads_to_the_bibliography(site: Path) -> None:
    keys = frozenset(read_keys())
    linked: set[str] = set()
    for path in site.glob("[0-9]*.html"):
        for table in re.findall(r"<table.*?</table>", read(path), flags=re.DOTALL):
            assert keys & {html.unescape(key) for key in re.findall(r"<code>([^<]+)</code>", table)} == set()
            linked |= {*re.findall(r'<a class="source \w+" href="bibliography.html#([^"]+)"', table)}
    assert linked <= page_checks.Page(read(site / "bibliography.html")).anchors
    assert len(linked) > 100


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


def test_the_same_sources_give_the_same_site(build: Path, tmp_path: Path) -> None:
    """To the byte, in any folder, in any order of what has none, and by one process as by several."""
    other = tmp_path / "some where else"
    shutil.copytree(build / "src", other / "src")
    done = run(RENDER, other, PYTHONHASHSEED="2")
    assert done.returncode == 0, done.stderr
    found, again = (
        {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        for site in (build / "site", other / "site")
    )
    assert len(found) > 100
    assert [name for name in found | again if found.get(name) != again.get(name)] == []


# --- defects -------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The sources of a site with one notebook and no data of the calculator: links are as in a whole one."""
    others = [path.name for path in notebooks() if path.stem != "02-supernode"]
    skipped = shutil.ignore_patterns(*others, ".*", "__pycache__")
    shutil.copytree(NOTEBOOKS, tmp_path / "src", ignore=skipped)
    for path in (*(tmp_path / "src").glob("*.md"), tmp_path / "src" / "02-supernode.ipynb"):
        elsewhere = r"\[([^][]+)\]\((?!02)\d\d-[\w-]+\.ipynb[^)]*\)"
        text = re.sub(elsewhere, r"\1", read(path))
        text = re.sub(r"\n[^\n]+ <(?!02)\d\d-[\w-]+>(?=\n)", "", text)
        path.write_text(text, encoding="utf-8")
    listing = tmp_path / "src" / "_templates" / "notebooks.j2"
    listing.write_text("- [the one](02-supernode.ipynb)\n", encoding="utf-8")
    with (tmp_path / "src" / "_ext" / "calculator.py").open("a", encoding="utf-8") as module:
        module.write("\n\ndef data(specs):\n    return {}\n")
    return tmp_path


def test_planted_broken_links_fail_the_build(small: Path) -> None:
    """Each is named, and nothing else is."""
    index = small / "src" / "index.md"
    links = "[a](03-nowhere.ipynb), [b](02-supernode.ipynb#no-such-heading), {cite}`nobody2099`"
    index.write_text(f"{read(index)}\n{links}\n", encoding="utf-8")
    done = run(RENDER, small)
    assert done.returncode != 0
    assert "the site was not built" in done.stderr
    for name in ("03-nowhere", "no-such-heading", "nobody2099"):
        assert re.search(rf"index\.md:\d+: WARNING: .*{name}", done.stderr), done.stderr
    assert done.stderr.count("WARNING") == 3, done.stderr


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
