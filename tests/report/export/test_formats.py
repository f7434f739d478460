"""Every format of every kind of run: what is in the file, read with readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys

import jsonschema
import pandas as pd
import pytest

from iibench.contract.errors import UsageError
from iibench.report.export import FORMATS, export, results_schema
from iibench.results.run import Run

VALIDATOR = jsonschema.Draft202012Validator(results_schema())


def document(run: Run) -> dict[str, object]:
    def forbid(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(export(run, "json"), parse_constant=forbid)  # type: ignore[no-any-return]


def test_unknown_format_names_the_nearest(directions: Run) -> None:
    with pytest.raises(UsageError, match="unknown format 'latx'; nearest: latex"):
        export(directions, "latx")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_every_run(any_run: Run, name: str) -> None:
    content = export(any_run, name)
    assert content == export(any_run, name), "not the same twice"
    if FORMATS[name].text:
        text = content.decode("utf-8")
        assert text.endswith("\n") and "\x00" not in text


def test_names_alone_import_nothing_heavy() -> None:
    code = (
        "import sys, iibench.report.export; assert iibench.report.export.FORMATS;"
        "assert not {'torch', 'pandas', 'numpy', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -------------------------------------------------------------------------------------- JSON


def test_schema_is_valid_and_strict() -> None:
    jsonschema.Draft202012Validator.check_schema(results_schema())


def test_json_follows_its_schema(any_run: Run) -> None:
    found = document(any_run)
    assert [error.message for error in VALIDATOR.iter_errors(found)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(more=1),
        lambda d: d.pop("provenance"),
        lambda d: d.update(format_version="3.0"),
        lambda d: d["cases"][0].update(status="fine"),
        lambda d: d["cases"][0].update(rating=1),
        lambda d: d["cases"][0].pop("score"),
        lambda d: d["cases"][0]["score"].update(mean="0.1"),
        lambda d: d["cases"][0].update(kind="x"),
        lambda d: d["verdicts"][0].update(status="unsure"),
        lambda d: d.update(kind="trials"),
    ],
)
def test_schema_refuses_other_documents(directions: Run, spoil: object) -> None:
    found = document(directions)
    spoil(found)  # type: ignore[operator]
    assert list(VALIDATOR.iter_errors(found))


def test_json_holds_the_leaderboard(directions: Run) -> None:
    cases = {case["id"]: case for case in document(directions)["cases"]}  # type: ignore[attr-defined]
    board = directions.leaderboard().set_index("case")
    assert set(cases) == set(board.index)
    for case_id, case in cases.items():
        row = board.loc[case_id]
        if case["score"] is None:
            assert pd.isna(row["mean"]) and case["rank"] is None
            continue
        assert case["score"]["mean"] == row["mean"] and case["score"]["high"] == (
            None if pd.isna(row["high"]) else row["high"]
        )
        assert (case["rank"]["low"], case["rank"]["high"]) == (row["rank_low"], row["rank_high"])
        difference = case["to_baseline"] and case["to_baseline"]["difference"]
        assert difference == (None if pd.isna(row["diff_to_baseline"]) else row["diff_to_baseline"])


def test_json_says_why_units_and_cases_have_no_score(directions: Run) -> None:
    cases = {case["id"]: case for case in document(directions)["cases"]}  # type: ignore[attr-defined]
    kmeans = cases["toy/net/layer1/kmeans[k=30]/lpips/ii"]
    assert (kmeans["k"], kmeans["scored"]) == (30, 28)
    assert kmeans["unscored"] == [{"reason": "dead: no response", "n": 2}]
    assert cases["toy/net/layer1/ica/color/ii"]["reason"] == "no weights"


def test_json_of_trials_has_every_measure(trials: Run) -> None:
    for case, report in zip(document(trials)["cases"], trials.trial_cases, strict=True):  # type: ignore
        assert case["headline"] == report.headline
        assert [m["name"] for m in case["measures"]] == [m.name for m in report.measures]


def test_json_numbers_are_finite_or_null(directions: Run) -> None:
    import dataclasses

    meta = {**directions.meta, "seconds": math.inf, "metrics": {"m": {"params": {"x": math.nan}}}}
    found = document(dataclasses.replace(directions, meta=meta))
    assert found["run"]["seconds"] is None  # type: ignore[index]
    assert found["provenance"]["metrics"] == {"m": {"params": {"x": None}}}  # type: ignore[index]


# --------------------------------------------------------------------------- CSV and Parquet


def test_csv_is_the_leaderboard(any_run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(export(any_run, "csv").decode("utf-8"), newline="")))
    board = any_run.leaderboard()
    assert list(rows[0]) == list(board.columns)
    assert len(rows) == len(board)
    value = "value" if any_run.trial_cases else "mean"
    for row, expected in zip(rows, board[value], strict=True):
        found = row[value]
        assert (
            found == "" if pd.isna(expected) else math.isclose(float(found), expected, rel_tol=1e-7)
        )


def test_parquet_is_the_leaderboard_to_the_last_bit(directions: Run) -> None:
    found = pd.read_parquet(io.BytesIO(export(directions, "parquet")))
    board = directions.leaderboard()
    assert list(found.columns) == list(board.columns)
    assert found["mean"].equals(board["mean"]) and list(found["case"]) == list(board["case"])
