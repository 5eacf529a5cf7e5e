"""What the model said of measurements it had not seen is never rewritten."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FIRST_SEEN = Path(__file__).parents[1] / "data" / "first_seen"
SHA256 = {
    "third_party.csv": "81539954a8e055c7bf25db518887278b17e049849fd0aa79baf6842a195e1be8",
    "measurements.csv": "429408d73541ebd3f9555de1532e65eaf46ad25cb87b4c6f54b2f9c79f04e72b",
    "estimates.csv": "c3919d4cfee4ba96050d8e7245d6071677629a23db992094a921533826e1d80d",
    "open_stack.csv": "c0180cb64cdf9944cbe33d82e6282537b31b0ee926c2352bca00d5d42a43d610",
    "reach.csv": "ad34ea4753945bd38bb9e0a6447a5f3431e6eae12e2a94e84a1e09f65c52a0a5",
}


@pytest.mark.parametrize("name", SHA256)
def test_the_record_is_never_rewritten(name: str) -> None:
    assert hashlib.sha256((FIRST_SEEN / name).read_bytes()).hexdigest() == SHA256[name]


def test_counts_of_the_third_party_points() -> None:
    """Their measured times are in the file of that party, so the errors are not computed here."""
    table = pd.read_csv(FIRST_SEEN / "third_party.csv")
    assert table["id"].is_unique
    assert table["set"].value_counts().to_dict() == {"other models": 1083, "deepseek": 892}
    assert (table["tpot_predicted_at_3927ac6"] > 0).all()


def test_counts_and_errors_of_the_measurements() -> None:
    table = pd.read_csv(FIRST_SEEN / "measurements.csv", dtype={"commit": str})
    predicted = table[table["predicted"].notna()]
    assert table["id"].is_unique
    assert set(table["commit"]) == {"3927ac6"}
    assert (len(table), len(predicted), int(table["reason"].notna().sum())) == (58, 3, 55)
    assert predicted["reason"].isna().all()
    assert list(predicted["id"]) == ["CR-A3-R1", "CR-A3-R1-PRE", "CR-A3-R1-PRE-MB"]
    assert list(predicted["predicted"]) == [2131.2, 5393.7, 6930.4]
    error = predicted["predicted"] / predicted["measured"] - 1
    assert np.allclose(error, predicted["error"], rtol=0, atol=2e-5)
    half, most = np.quantile(error.abs(), [0.5, 0.9], method="inverted_cdf")
    assert [round(100 * float(e), 1) for e in (half, most, error.median())] == [3.0, 6.3, 3.0]


def test_counts_and_errors_of_the_open_stack() -> None:
    table = pd.read_csv(FIRST_SEEN / "open_stack.csv", dtype={"commit": str})
    measurements = pd.read_csv(FIRST_SEEN / "measurements.csv", nrows=0)
    assert list(table.columns) == [*measurements.columns, "source"]
    predicted = table[table["predicted"].notna()]
    assert table["id"].is_unique
    assert table["source"].notna().all()
    assert set(table["commit"]) == {"3927ac6"}
    assert (len(table), len(predicted), int(table["reason"].notna().sum())) == (10, 5, 5)
    assert predicted["reason"].isna().all()
    assert int(table["reason"].str.contains("no kernels in w4a8").sum()) == 4
    assert list(predicted["predicted"]) == [91.1, 99.2, 101.8, 98.7, 1248.1]
    error = predicted["predicted"] / predicted["measured"] - 1
    assert np.allclose(error, predicted["error"], rtol=0, atol=2e-5)
    half, most = np.quantile(error.abs(), [0.5, 0.9], method="inverted_cdf")
    assert [round(100 * float(e), 1) for e in (half, most, error.median())] == [37.6, 57.3, 37.6]


def test_counts_and_errors_of_the_estimates() -> None:
    """Chips without kernels: every one of 16 was slower than the span of the estimate."""
    table = pd.read_csv(FIRST_SEEN / "estimates.csv")
    assert table["id"].is_unique
    assert set(table["commit"]) == {"2f43e5e"}
    assert table["accelerator"].value_counts().to_dict() == {"a100-sxm": 6, "mi300x": 6, "mi355x": 4}
    assert (
        (table["low_tpot"] < table["predicted_tpot"]) & (table["predicted_tpot"] < table["high_tpot"])
    ).all()
    error = table["measured_tpot"] / table["predicted_tpot"] - 1
    assert np.allclose(error, table["error"], rtol=0, atol=2e-5)
    half, most = np.quantile(error.abs(), [0.5, 0.9], method="inverted_cdf")
    assert [round(100 * float(e), 1) for e in (half, most, error.median())] == [27.4, 78.1, 28.8]
    assert (table["measured_tpot"] > table["high_tpot"]).all()


def test_the_readme_states_what_the_files_hold() -> None:
    text = (FIRST_SEEN / "README.md").read_text(encoding="utf-8")
    for words in (
        "1,975 points (892 DeepSeek, 1,083 other models",
        "58 rows",
        "3 predicted, 55 refused",
        "the 3 predicted: median 3.0 %, nine in ten within 6.3 %, bias +3.0 %",
        "10 rows of DeepSeek-R1 and V3.1",
        "5 predicted, 5 refused",
        "16 runs on chips without kernels (A100, MI300X, MI355X)",
        "1,011 runs that no earlier model could take",
        "Half of them within 11.5, 5.7, 23.2, 20.9, 4.6 and 6.9 %",
        "Estimates, all 16: median 27.4 %, nine in ten within 78.1 %, bias +28.8 %, none within the span",
        "The 5 predicted: median 37.6 %, nine in ten within 57.3 %, bias +37.6 %",
    ):
        assert words in text
