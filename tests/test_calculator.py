"""The calculator page: its data against the library, and the page itself in a browser."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import calculator
import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from rendered import Tab

from cm384 import Deployment, InputError, decode, load_model, load_specs, prefill, ratio
from cm384.physics.check import model_error
from cm384.physics.kernels import multiplied
from cm384.physics.serving import Result, largest_batch
from cm384.physics.transformer import Model
from cm384.table.records import Measurement

SPECS = load_specs()
PREFILL = "CM384-PREFILL-DEFAULT"
CM384, H800 = "CM384-DECODE-4K-50MS", "DSK-H800-DECODE-PROFILE"
FIELDS = ("batch", "context", "accepted")
MEASURES = ("throughput", "latency", "efficiency")


@cache
def data() -> dict[str, Any]:
    return calculator.data(SPECS)


def found(identity: str) -> dict[str, Any]:
    """The deployment of the page's data that a measurement belongs to."""
    return next(
        d for d in data()["deployments"] if identity in [p["id"] for p in d["published"]]
    )  # fmt: skip


def model_of(row: Measurement) -> Model:
    return load_model(SPECS.models[row.model])


def serve(row: Measurement, batch: float, context: float, accepted: float) -> Result:
    """The library at a setting, called directly."""
    given = {"batch": batch, "context": context}
    if row.phase == "prefill":
        return prefill(SPECS, model_of(row), replaced(row, **given))
    return decode(
        SPECS,
        model_of(row),
        replaced(row, tokens_per_step=1 + accepted, **given),
    )


def replaced(row: Measurement, **changes: float) -> Deployment:
    return dataclasses.replace(row.deployment, **changes)


def fits(row: Measurement, batch: float, context: float) -> bool:
    """Whether the library takes a setting; nothing but the memory may stand against it."""
    try:
        return bool(np.isfinite(serve(row, batch, context, 0.0).step))
    except InputError as error:
        if "which has" in str(error):
            return False
        raise


def interpolated(entry: dict[str, Any], batch: Any, context: Any) -> Any:
    """Milliseconds of a step as the page finds them, written anew: two interpolations in turn."""
    lines = np.array([np.interp(context, entry["context"], line) for line in entry["step"]])
    return np.array([np.interp(b, entry["batch"], lines[:, i]) for i, b in enumerate(batch)])


def drawn(entry: dict[str, Any], count: int, seed: int) -> Iterator[tuple[float, float]]:
    """Settings of a deployment between the ends of its grid, evenly over the orders of size."""
    random = np.random.default_rng(seed)
    low, high = np.log([[axis[0], axis[-1]] for axis in (entry["batch"], entry["context"])]).T
    for point in np.exp(random.uniform(low, high, size=(count, 2))):
        unit = entry["unit"]
        yield max(round(point[0] / unit) * unit, entry["batch"][0]), float(round(point[1]))


# --- the data ------------------------------------------------------------------------------------


def test_every_measurement_is_in_one_deployment() -> None:
    ids = [p["id"] for d in data()["deployments"] for p in d["published"]]
    means = {name for name in SPECS.measurements if name.startswith("SG-A3")}  # batches by Little's law
    assert sorted(ids) == sorted(set(SPECS.measurements) - means)
    assert len(means) == 7
    assert len(data()["deployments"]) == 59
    assert found("CM384-DECODE-4K-30MS") is found(CM384)  # batch 24 and 96 of one deployment
    assert found("CM384-DECODE-4K-15MS") is not found(CM384)  # one microbatch, not two


def test_no_two_deployments_have_one_name() -> None:
    names = [d["name"] for d in data()["deployments"]]
    assert len(set(names)) == len(names)
    assert found(CM384)["name"] == "Huawei 2025: 160 × 910C, decode, 2K to 4K"
    assert found("CM384-DECODE-4K-15MS")["name"] == "Huawei 2025: 160 × 910C, decode, 4K"
    # of one post, on as many chips, at one context
    assert found("SGL-GB200-DECODE-FP8-FP4")["name"] == (
        "SGLang 2025: 48 × GB200, decode, 2K, matrices FP4, attention FP8, cache FP8"
    )
    assert found(CM384)["settings"] == {
        "model": "DeepSeek-R1", "chips": "160", "expert ranks": "320", "tensor ranks": "1",
        "matrices": "INT8", "attention": "BF16", "cache": "BF16", "routing": "EPLB", "microbatches": "2",
        "drafts": "1", "output": "256",
    }  # fmt: skip


def test_the_same_work_is_the_same_but_for_chip_ranks_and_format() -> None:
    for phase in ("decode", "prefill"):
        runs = [entry["settings"] for entry in data()["same"] if entry["phase"] == phase]
        assert len(runs) >= 6
        for key in ("model", "attention", "cache", "routing", "drafts", "output"):
            assert len({run.get(key) for run in runs}) == 1, key
        assert {run["matrices"] for run in runs} == {"INT8", "FP8"}
    # 671 GB of weights in eight bits; a GB300 has 279 GB, and was published two at a time
    assert data()["unable"]["prefill"]["GB300"].startswith("weights and KV cache take 350.6 GB on a rank")
    assert not data()["unable"]["decode"]
    ours = next(entry for entry in data()["same"] if entry["id"] == "same-decode-ascend-910c")
    assert ours["settings"] == found(CM384)["settings"]
    assert interpolated(ours, [96.0], [4096.0]) == pytest.approx([80.60], rel=4e-3)


def test_published_batches_are_steps_of_the_control() -> None:
    for entry in data()["deployments"]:
        assert all(point["batch"] % entry["unit"] == 0 for point in entry["published"])


def test_a_measurement_that_cannot_be_computed_is_left_out() -> None:
    broken = dataclasses.replace(SPECS.measurements[CM384], batch="", id="X")
    table = dataclasses.replace(SPECS, measurements={**SPECS.measurements, "X": broken})
    ids = [row.id for group in calculator.deployments(table) for row in group]
    assert sorted(ids) == sorted(name for name in SPECS.measurements if not name.startswith("SG-A3"))


def test_the_data_are_small() -> None:
    """As written into the page, those of the same work on each chip included."""
    assert len(json.dumps(data(), ensure_ascii=False, separators=(",", ":")).encode()) < 240_000


@pytest.mark.parametrize(
    ("identity", "step", "throughput", "latency", "efficiency"),
    [
        # 96 requests × 1.7 tokens in 80.60 ms; peak 2 × 752 TOPS of INT8
        (CM384, 80.60, 2024.8, 47.41, 1.346),
        # 128 requests × 1 token in 52.42 ms; peak 1,979 TFLOPS of FP8
        (H800, 52.42, 2441.7, 52.42, 1.2338),
    ],
)
def test_published_settings(
    identity: str, step: float, throughput: float, latency: float, efficiency: float
) -> None:
    entry = found(identity)
    point = next(p for p in entry["published"] if p["id"] == identity)
    i, j = (entry[axis].index(point[axis]) for axis in ("batch", "context"))
    milliseconds, tokens = entry["step"][i][j], 1 + point["accepted"]
    assert milliseconds == pytest.approx(step, rel=2e-4)
    assert point["batch"] * tokens / milliseconds * 1e3 == pytest.approx(throughput, rel=2e-4)
    assert milliseconds / tokens == pytest.approx(latency, rel=2e-4)
    per_tflop = point["batch"] * tokens / milliseconds * 1e3 / entry["peak"]
    assert per_tflop == pytest.approx(efficiency, rel=3e-4)


@pytest.mark.parametrize("identity", [CM384, "ANT-H20-DECODE-B1-MTP3", "SGL-H100-DECODE-SIMMTP"])
def test_acceptance_changes_neither_step_nor_memory(identity: str) -> None:
    row = SPECS.measurements[identity]
    drafts = int(row.draft_tokens)
    results = [serve(row, 8.0, 4096.0, a) for a in (0.0, 0.37 * drafts, drafts)]
    assert len({float(r.step) for r in results}) == 1
    assert len({float(r.memory) for r in results}) == 1
    assert results[2].throughput.m == pytest.approx((1 + drafts) * results[0].throughput.m)
    assert results[2].tpot.m == pytest.approx(results[0].tpot.m / (1 + drafts))


def test_lines_between_the_points_stay_within_half_a_percent_of_the_library() -> None:
    worst = 0.0
    for number, entry in enumerate(data()["deployments"]):
        row = SPECS.measurements[entry["published"][0]["id"]]
        batch, context = np.array(list(drawn(entry, 400, number))).T
        step = np.broadcast_to(serve(row, batch, context, 0.0).step, batch.shape)
        off = np.abs(interpolated(entry, batch, context) / (1e3 * step) - 1)
        worst = max(worst, float(np.nanmax(off)))
    assert worst < 0.005


@pytest.mark.parametrize("identity", [CM384, H800, "TRT-B200-DECODE-B1-MTP3", "ANT-H20-DECODE-B48",
                                      PREFILL, "VLLM-B300-PREFILL-TP2"])  # fmt: skip
def test_memory_limits_are_those_of_the_library(identity: str) -> None:
    row, entry = SPECS.measurements[identity], found(identity)
    for context in (512.0, 4096.0, 131_072.0):
        cached = entry["memory"]["token"] * (context if row.phase == "decode" else 1.0)
        room = (entry["memory"]["have"] - entry["memory"]["weights"]) / cached
        most = np.floor(room / entry["unit"]) * entry["unit"]
        assert fits(row, most, context)
        assert not fits(row, most + entry["unit"], context)
        if row.phase == "decode" and row.deployment.tensor_parallel == 1:
            model = model_of(row)
            assert most == largest_batch(SPECS, model, replaced(row, context=context))


def test_weights_that_a_host_streams_have_no_limit() -> None:
    unlimited = {d["chip"] for d in data()["deployments"] if d["memory"] is None}
    assert unlimited == {"GB200"}
    row = SPECS.measurements["SGL-GB200-PREFILL-FP8-FP4"]
    assert serve(row, 32_768.0, 512.0, 0.0).memory > 186e9
    assert fits(row, 32_768.0, 512.0)


def test_hardware_figures() -> None:
    figures = dict(data()["figures"])
    capacity = figures["HBM capacity (nominal)"]
    assert capacity["cloudmatrix-384"] == [49152, "49.15 TB", ["huawei2025cloudmatrix"]]
    assert capacity["gb200-nvl72"][0] == 72 * 192
    quotient = capacity["cloudmatrix-384"][0] / capacity["gb200-nvl72"][0]
    assert quotient == pytest.approx(3.5556, abs=1e-4)
    peak = figures["peak (BF16, as advertised)"]
    assert peak["cloudmatrix-384"][0] / peak["gb200-nvl72"][0] == pytest.approx(384 * 752 / (72 * 2500))
    assert figures["accelerators"]["hgx-h100"][0] == 8
    assert "ascend-910c" not in figures["peak (FP8, as advertised)"]
    assert figures["power (TDP)"]["h100-sxm"][0] == 700


def test_an_all_in_power_is_not_set_against_a_rating() -> None:
    shared = [
        name for name, of in data()["figures"] if {"cloudmatrix-384", "hgx-h100"} <= of.keys()
    ]  # fmt: skip
    assert "HBM bandwidth" in shared
    assert not [name for name in shared if "power" in name]


# --- the page ------------------------------------------------------------------------------------


@pytest.fixture
def page(tab: Tab) -> Iterator[Page]:
    """The page as it opens; whatever a test does with it, it logs no error and asks for nothing."""
    opened = tab.open("calculator.html")
    yield opened
    assert tab.errors == []
    assert tab.outside == []


def choose(page: Page, side: int, identity: str, *at: float) -> None:
    """Pick a deployment on side 0 or 1 and set its batch, context and accepted drafts."""
    box, entry = page.locator(".side").nth(side), found(identity)
    box.get_by_label("Deployment").select_option(entry["published"][0]["id"])
    for field, value in zip(FIELDS, at, strict=False):
        if field != "accepted" or entry["drafts"]:
            box.locator(f"input[name={field}]").fill(f"{value:.12g}")


def results(page: Page, side: int) -> Locator:
    """What the bar says of a side."""
    return page.locator(f".bar .{'ab'[side]} td")


def shown(page: Page, side: int) -> dict[str, float]:
    """The three results of a side."""
    cells = results(page, side)
    return dict(zip(MEASURES, numbers(cells.all_inner_texts()), strict=True))


def ratios(page: Page) -> list[float]:
    return numbers(page.locator("[data-ratio]").all_inner_texts())


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts]


def expected(identity: str, batch: float, context: float, accepted: float) -> list[float]:
    """The three results by the library, called directly."""
    row = SPECS.measurements[identity]
    result = serve(row, batch, context, accepted)
    tokens = float(result.throughput.m)
    name = {"precision": multiplied(SPECS, row.accelerator, row.matrix_precision), "basis": "headline"}
    peak = SPECS.get(row.accelerator, "peak", **name).to("TFLOPS").m
    latency = result.tpot.m if row.phase == "decode" else 1e3 * result.step
    return [tokens, float(latency), tokens / float(peak)]


def settings() -> list[tuple[str, float, float, float]]:
    """Two settings of every deployment that fit in memory, on the grid and off it."""
    chosen = []
    for number, entry in enumerate(data()["deployments"]):
        identity = entry["published"][-1]["id"]
        row = SPECS.measurements[identity]
        points = (point for point in drawn(entry, 100, 1000 + number) if fits(row, *point))
        for share in (0.25, 0.85):
            chosen.append((identity, *next(points), round(share * entry["drafts"], 2)))
    return chosen


def go(page: Page, *sides: tuple[str, float, float, float]) -> None:
    """Follow an address that holds the settings of a side, or of both."""
    given = [f"{'ab'[i]}={','.join(map(str, side))}" for i, side in enumerate(sides)]
    page.evaluate(
        """address => new Promise((done) => {
          addEventListener("hashchange", () => setTimeout(done), { once: true });
          location.hash = address;
        })""",
        "&".join(given),
    )


def test_the_page_shows_the_numbers_of_the_library(page: Page) -> None:
    """Every deployment at two settings on either side, and its ratios to the one before it.

    Each eighth is typed, as a reader does it; the others are followed as links, four times as fast.
    """
    compared, last = 0, settings()[0]
    for identity, *at in settings():
        other, *there = last
        alike = found(other)["phase"] == found(identity)["phase"]
        sides = [(identity, *at), (other, *there)][: 1 + alike]
        if compared % 8:
            go(page, *sides)
        else:
            for i, side in enumerate(sides):
                choose(page, i, *side)
        rights = [expected(*side) for side in sides]
        for i, right in enumerate(rights):
            assert list(shown(page, i).values()) == pytest.approx(right, rel=0.01), sides[i]
        if alike:
            quotients = [a / b for a, b in zip(*rights, strict=True)]
            assert ratios(page) == pytest.approx(quotients, rel=0.01), (identity, other)
        compared += 1
        last = identity, *at
    assert compared == 118


def test_it_opens_with_the_claim(page: Page) -> None:
    ours, theirs = (page.locator(".side").nth(i) for i in (0, 1))
    assert "Ascend 910C, decode" in ours.inner_text()
    assert "H800 SXM, decode" in theirs.inner_text()
    assert shown(page, 0) == {"throughput": 2025, "latency": 47.41, "efficiency": 1.346}
    assert ratios(page) == [0.8292, 0.9045, 1.091]
    said = ours.locator(".published").inner_text()
    assert "Published: 1,943 tokens/s (huawei2025cloudmatrix), model +4.2 %." in said
    source = ours.locator(".published a")
    assert source.get_attribute("href") == "bibliography.html#cite-huawei2025cloudmatrix"


def test_a_published_setting_is_one_press_away(page: Page) -> None:
    ours = page.locator(".side").nth(0)
    ours.locator("input[name=batch]").fill("50")
    assert "Nothing was published for this setting." in ours.inner_text()
    ours.get_by_role("button", name="24 × 4,224 × 0.7").click()
    assert [ours.locator(f"input[name={field}]").input_value() for field in FIELDS] == [
        "24", "4224", "0.7"
    ]  # fmt: skip
    assert "Published: 974 tokens/s" in ours.inner_text()


def test_side_b_offers_the_phase_of_side_a(page: Page) -> None:
    choose(page, 0, PREFILL)
    offered = page.locator(".side").nth(1).locator("optgroup").evaluate_all("g => g.map(x => x.label)")
    assert {label.partition(":")[0] for label in offered} == {"prefill"}
    assert page.locator(".side").nth(0).locator("input[name=accepted]").is_hidden()
    assert page.locator("[data-name=latency]").inner_text() == "step time, ms"
    assert page.locator(".goal").is_hidden()
    assert "H800 SXM, prefill" in page.locator(".side").nth(1).inner_text()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("batch", "0", "Batch: give a number from 2 to 2,048."),
        ("batch", "2050", "Batch: give a number from 2 to 2,048."),
        ("batch", "", "Batch: give a number from 2 to 2,048."),
        ("batch", "-5", "Batch: give a number from 2 to 2,048."),
        ("context", "511", "Context: give a number from 512 to 131,072."),
        ("context", "1e9", "Context: give a number from 512 to 131,072."),
        ("accepted", "1.01", "Accepted drafts: give a number from 0 to 1."),
    ],
)
def test_it_says_nothing_beyond_its_range(page: Page, field: str, value: str, said: str) -> None:
    ours = page.locator(".side").nth(0)
    ours.locator(f"input[name={field}]").fill(value)
    assert ours.locator(".problem").inner_text() == said
    assert ours.locator(f"input[name={field}]").get_attribute("aria-invalid") == "true"
    assert results(page, 0).all_inner_texts() == ["–"] * 3
    assert page.locator("[data-ratio]").all_inner_texts() == ["–"] * 3
    ours.get_by_role("button", name="96 × 4,096 × 0.7").click()
    assert shown(page, 0)["throughput"] == 2025


def test_it_says_what_does_not_fit_in_memory(page: Page) -> None:
    row = SPECS.measurements[CM384]
    most = largest_batch(SPECS, model_of(row), replaced(row, context=32_768.0))
    assert most == 36  # 64 GB a die less 21.5 GB of weights: 18 caches of 2.30 GB on either of two
    ours = page.locator(".side").nth(0)
    ours.locator("input[name=context]").fill("32768")
    assert ours.locator(".problem").inner_text() == (
        "Does not fit in memory: at this context at most 36 fit."
    )
    ours.locator("input[name=batch]").fill("36")
    right = expected(CM384, 36.0, 32_768.0, 0.7)
    assert list(shown(page, 0).values()) == pytest.approx(right, rel=0.01)
    ours.locator("input[name=batch]").fill("38")
    assert results(page, 0).all_inner_texts() == ["–"] * 3


def test_a_batch_counts_whole_requests_of_a_rank(page: Page) -> None:
    ours = page.locator(".side").nth(0)
    ours.locator("input[name=batch]").fill("97.2")
    ours.locator("input[name=batch]").blur()
    expect(ours.locator("input[name=batch]")).to_have_value("98")  # a 910C has two ranks
    right = expected(CM384, 98.0, 4096.0, 0.7)
    assert list(shown(page, 0).values()) == pytest.approx(right, rel=0.01)


def test_sliders_move_with_the_keyboard(page: Page) -> None:
    ours = page.locator(".side").nth(0)
    slider = ours.get_by_label("Batch of A, slider")
    slider.focus()
    batch = ours.locator("input[name=batch]")
    slider.press("Home")
    expect(batch).to_have_value("2")
    slider.press("ArrowRight")
    expect(batch).to_have_value("4")
    assert slider.get_attribute("aria-valuetext") == "4"
    right = expected(CM384, 4.0, 4096.0, 0.7)
    assert list(shown(page, 0).values()) == pytest.approx(right, rel=0.01)
    slider.press("End")
    expect(batch).to_have_value("2048")


def test_the_address_holds_the_setting(page: Page, tab: Tab) -> None:
    choose(page, 0, "TRT-B200-DECODE-B1-MTP3", 0.625, 3000, 1.5)
    choose(page, 1, "ANT-H20-DECODE-B48", 40, 6000, 0.25)
    page.locator("select[name=x]").select_option("h100-sxm")
    page.wait_for_url("**#*x=h100-sxm*")
    assert page.url.partition("#")[2] == (
        "a=TRT-B200-DECODE-B1-MTP3,0.625,3000,1.5&b=ANT-H20-DECODE-B48,40,6000,0.25&x=h100-sxm&y=gb200-nvl72"
    )
    before = shown(page, 0), shown(page, 1), ratios(page)
    again = page.url.partition("/site/")[2]
    tab.open("index.html")
    tab.open(again)
    assert (shown(page, 0), shown(page, 1), ratios(page)) == before
    assert page.locator("select[name=x]").input_value() == "h100-sxm"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_results_are_in_view_at_every_control(tab: Tab, width: int, height: int) -> None:
    page = tab.open("calculator.html", width=width, height=height)
    bar = page.locator(".bar")
    controls = page.locator("#deployments :is(select, input):visible")
    assert controls.count() >= 13
    for i in range(-1, controls.count()):
        if i >= 0:
            controls.nth(i).scroll_into_view_if_needed()
        box = bar.bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
    assert box["height"] < height / 5


def test_the_largest_batch_under_a_time_per_token_is_that_of_the_library(page: Page) -> None:
    """The page finds it on its lines, which stay within 0.5 % of the library."""
    row = SPECS.measurements[CM384]
    for limit in (30.0, 50.0):
        page.locator("input[name=target]").fill(f"{limit:g}")
        batch, tokens = numbers(page.locator(".goal tbody tr").nth(0).locator("td").all_inner_texts()[:2])
        low, high = (
            largest_batch(SPECS, model_of(row), replaced(row, context=4096.0), tpot=limit * off)
            for off in (0.995, 1.005)
        )
        assert low <= batch <= high
        assert tokens == pytest.approx(expected(CM384, batch, 4096.0, 0.7)[0], rel=0.01)
    ended = page.locator(".goal tbody tr").nth(0).locator("td").nth(2)
    assert ended.inner_text() == "the target"
    page.locator("input[name=target]").fill("1000")
    assert ended.inner_text() == "memory"
    # the model finds none at 15 ms, where Huawei published 538 tokens/s
    page.locator("input[name=target]").fill("15")
    assert ended.inner_text() == "no batch keeps it; published: 538 tokens/s at 14.9 ms"
    page.wait_for_url("**&t=15")
    page.locator("input[name=target]").fill("")
    assert ended.inner_text() == "give 1 to 1,000 ms"


def test_the_curve_passes_through_the_setting_and_names_what_was_published(page: Page) -> None:
    svg = page.locator(".curve svg")
    known = {
        p["id"] for d in data()["deployments"] for p in d["published"]
        if (d["phase"], d["settings"]["model"]) == ("decode", "DeepSeek-R1")
        and d["chip"] in ("Ascend 910C", "H800 SXM")
    }  # fmt: skip
    assert svg.locator("title").count() == len(known) == page.locator(".points li").count()
    for mark in "ab":
        x, y = (float(svg.locator(f".{mark}.now circle").get_attribute(name) or 0) for name in ("cx", "cy"))
        line = svg.locator(f"polyline.{mark}").get_attribute("points") or ""
        points = np.array([point.split(",") for point in line.split()], dtype=float)
        assert np.interp(x, *points.T) == pytest.approx(y, abs=1.5)
    assert "A gives 2,025 tokens/s at 47.41 ms" in page.locator("#curve-words").inner_text()
    page.get_by_role("button", name="Huawei 2025, 8 × 4,224: 538 tokens/s at 14.9 ms").click()
    assert "Published: 538 tokens/s" in page.locator(".side").nth(0).inner_text()
    assert svg.locator(".now").count() == 2


def differences(page: Page) -> dict[str, list[str]]:
    rows = page.locator(".differs tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}


def test_same_work_is_one_press_and_one_address_away(page: Page, tab: Tab) -> None:
    assert differences(page)["drafts"] == ["1", "0"]
    together = page.get_by_role("checkbox", name="Same work")
    together.check()
    apart = {"chip", "chips", "expert ranks", "matrices", "batch"}
    assert set(differences(page)) == apart
    assert shown(page, 0)["throughput"] == 2025  # the work is that of the run it opened with
    said = page.locator(".unable").inner_text()
    formats = "Ascend 910C multiplies eight bits as INT8, H800 SXM multiplies eight bits as FP8"
    assert said == f"The format cannot be the same: {formats}."
    other = page.locator(".side").nth(1)
    assert other.locator("input[name=context]").is_hidden()
    page.locator(".side").nth(0).locator("input[name=context]").fill("3000")
    assert set(differences(page)) == apart
    row = SPECS.measurements["DSK-H800-DECODE-PRODUCTION"]
    row = dataclasses.replace(row, routing="eplb", draft_tokens="1", output="256")
    result = serve(row, 128.0, 3000.0, 0.7)
    assert shown(page, 1)["throughput"] == pytest.approx(float(result.throughput.m), rel=0.01)
    page.wait_for_url("**#a=same-decode-ascend-910c,96,3000,0.7&b=same-decode-h800-sxm,128,3000,0.7&*")
    before, again = (shown(page, 0), shown(page, 1), ratios(page)), page.url.partition("/site/")[2]
    tab.open("index.html")
    tab.open(again)
    assert (shown(page, 0), shown(page, 1), ratios(page)) == before
    together.uncheck()
    assert shown(page, 0)["throughput"] == 2025
    assert differences(page)["drafts"] == ["1", "0"]


def test_the_error_is_that_of_every_page(page: Page) -> None:
    """One number with one definition: by document, and of ratios where it is one."""
    said = page.locator(".error").inner_text()
    assert said == f"A ratio of two decode predictions has {model_error(SPECS, 'decode', ratio=True)}."
    assert f"In decode the model has {model_error(SPECS, 'decode')}" in page.locator("article").inner_text()
    assert " documents" in said


@pytest.mark.parametrize(
    "address",
    ["a=nonsense", "a=,,&b=1,2,3", "x=moon&y=", "two-deployments", f"a={PREFILL},x,y,z",
     "x=toString&y=constructor",
     f"b={PREFILL}", f"b={H800},128,4096,0.5"],
)  # fmt: skip
def test_a_wrong_address_does_no_harm(tab: Tab, address: str) -> None:
    page = tab.open(f"calculator.html#{address}")
    assert shown(page, 1)["throughput"] > 0
    assert page.locator("#machines tbody tr").count() > 20
    assert tab.errors == tab.outside == []


HARDWARE = {
    "peak (BF16, as advertised)": ("peak", {"precision": "bf16", "basis": "headline"}),
    "peak (BF16, matrix units only)": ("peak", {"precision": "bf16", "basis": "matrix"}),
    "peak (INT8, as advertised)": ("peak", {"precision": "int8", "basis": "headline"}),
    "peak from units (BF16)": ("peak_from_units", {"precision": "bf16"}),
    "HBM capacity (nominal)": ("hbm_capacity", {"basis": "nominal"}),
    "HBM capacity (usable)": ("hbm_capacity", {"basis": "usable"}),
    "HBM bandwidth": ("hbm_bandwidth", {}),
    "ridge point (BF16)": ("ridge_point", {"precision": "bf16"}),
    "scale-up bandwidth": ("scale_up_bandwidth", {}),
    "scale-out bandwidth": ("scale_out_bandwidth", {}),
    "bisection bandwidth": ("bisection_bandwidth", {}),
    "power (all-in)": ("power", {"basis": "all-in"}),
    "power (TDP)": ("power", {"basis": "tdp"}),
    "power per accelerator (all-in)": ("power_per_accelerator", {}),
    "power per peak (BF16, all-in)": ("power_per_peak", {"precision": "bf16"}),
    "power per bandwidth (all-in)": ("power_per_bandwidth", {}),
    "power per capacity (all-in)": ("power_per_capacity", {}),
    "peak per power (BF16, all-in)": ("peak_per_power", {"precision": "bf16"}),
    "price": ("price", {}),
    "price per accelerator": ("price_per_accelerator", {}),
    "price per peak (INT8)": ("price_per_peak", {"precision": "int8"}),
}  # fmt: skip


def table(page: Page) -> dict[str, list[str]]:
    """The figures that both machines have: A, B, ratio, and the anchors of their sources."""
    rows = page.locator("#machines tbody tr").evaluate_all(
        "rows => rows.map(row => [row.cells[0].firstChild.textContent,"
        " ...[...row.cells].slice(1).map(cell => cell.textContent),"
        " [...row.querySelectorAll('a')].map(a => a.getAttribute('href')).join(' ')])"
    )
    return {name: cells for name, *cells in rows}


def test_hardware_ratios_are_those_of_the_library(page: Page) -> None:
    compared = 0
    for x, y in [("cloudmatrix-384", "gb200-nvl72"), ("ascend-910c", "h100-sxm"),
                 ("hgx-h20", "hgx-h100"), ("gb300", "mi300x")]:  # fmt: skip
        page.locator("select[name=x]").select_option(x)
        page.locator("select[name=y]").select_option(y)
        rows = table(page)
        for name in rows.keys() & HARDWARE.keys():
            quantity, conditions = HARDWARE[name]
            right = float(ratio(quantity, x, y, SPECS, **conditions).m)
            assert numbers([rows[name][2]])[0] == pytest.approx(right, rel=1e-3), (x, y, name)
            compared += 1
    assert compared >= 40


def test_hardware_of_the_claims(page: Page) -> None:
    rows = table(page)
    assert rows["HBM capacity (nominal)"][:3] == ["49.15 TB", "13.82 TB", "3.556"]
    assert rows["HBM bandwidth"][2] == "2.133"
    assert rows["peak (BF16, as advertised)"][:3] == ["288.8 PFLOPS", "180 PFLOPS", "1.604"]
    assert rows["power (all-in)"][:3] == ["559.4 kW", "145 kW", "3.858"]
    assert rows["HBM capacity (nominal)"][3].split() == [
        f"bibliography.html#cite-{key}"
        for key in ("huawei2025cloudmatrix", "nvidia2025blackwell", "nvidia2026nim")
    ]
    assert "Sourced for GB200 NVL72 alone: peak (FP8" in page.locator(".missing").inner_text()


def test_every_ratio_is_seen_whole_on_a_phone(tab: Tab) -> None:
    """The smallest have the most digits: 8 × 148 ÷ (384 × 752) TFLOPS."""
    page = tab.open("calculator.html#x=hgx-h20&y=cloudmatrix-384", width=360)
    assert table(page)["peak (BF16, as advertised)"][2] == "0.004100"
    assert page.locator("#machines .frame").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_sources_lead_to_the_bibliography(page: Page, site: Path) -> None:
    text = (site / "bibliography.html").read_text(encoding="utf-8")
    links = page.locator("#machines a, .published a").evaluate_all(
        "links => links.map(link => link.getAttribute('href'))"
    )
    assert len(links) > 30
    for link in set(links):
        assert f'id="{link.partition("#")[2]}"' in text, link


def test_without_a_script_there_is_a_table(browser: Browser, site: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        opened = context.new_page()
        opened.goto(f"{site.as_uri()}/calculator.html")
        assert opened.locator("#deployments").is_hidden()
        rows = opened.locator("noscript tbody tr")
        assert rows.count() == len(SPECS.measurements) - 7  # batches that are means
        row = rows.filter(has_text=CM384).inner_text().split("\t")
        assert row[:7] == [CM384, "96", "4,096", "0.7", "1,943", "2,025", "+4.2 %"]
