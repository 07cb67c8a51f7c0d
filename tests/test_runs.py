"""The run table: what is read, derived, refused and warned of."""

from __future__ import annotations

import gzip
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayescale.errors import BayescaleError, DataError, UsageError
from bayescale.runs import COLUMNS, Observations, observations, read_runs

GRID = pd.DataFrame(
    {
        "N": np.repeat([1e8, 1e9, 1e10], 3),
        "D": np.tile([1e9, 1e10, 1e11], 3),
        "loss": [3.9, 3.4, 3.2, 3.5, 2.9, 2.6, 3.3, 2.6, 2.2],
    }
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def warnings_of(frame: pd.DataFrame) -> list[str]:
    return [note for note in frame.attrs["notes"] if note.startswith("warning: ")]


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    text = GRID.to_csv(index=False)
    write(tmp_path / "a.csv", text)
    write(tmp_path / "a.tsv", text.replace(",", "\t"))
    write(tmp_path / "a.txt", text.replace(",", ";"))
    GRID.to_parquet(tmp_path / "a.parquet")
    GRID.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    expected = read_runs(GRID)
    for path in sorted(tmp_path.iterdir()):
        found = read_runs(path)
        pd.testing.assert_frame_equal(found, expected)
        assert found.attrs["source"] == str(path)
        pd.testing.assert_frame_equal(read_runs(str(path)), expected)


def test_columns_are_named_ordered_and_kept() -> None:
    frame = pd.DataFrame(
        {
            "note": ["x", "y"],
            "Val Loss": [2.5, 2.4],
            "num-params": [10**9, 10**10],
            "Tokens": ["7e10", " 8E10 "],
        },
        index=[3, 9],
    )
    before = frame.copy(deep=True)
    runs = read_runs(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert list(runs.columns) == ["N", "D", "C", "loss", "note"]
    assert runs.index.tolist() == [0, 1]
    assert (runs[["N", "D", "C", "loss"]].dtypes == np.float64).all()
    assert runs["D"].tolist() == [7e10, 8e10]
    assert runs.attrs["notes"] == [
        "column 'num-params' read as N",
        "column 'Tokens' read as D",
        "column 'Val Loss' read as loss",
        "C derived as 6*N*D",
    ]


@pytest.mark.parametrize(
    ("given", "derived", "value", "note"),
    [
        ({"N": 1e9, "D": 2e10}, "C", 1.2e20, "C derived as 6*N*D"),
        ({"N": 1e9, "C": 1.2e20}, "D", 2e10, "D derived as C/(6*N)"),
        ({"N": 1e9, "D": 2e10, "C": None}, "C", 1.2e20, "C derived as 6*N*D"),
        ({"N": 1e9, "D": "", "C": 1.2e20}, "D", 2e10, "D derived as C/(6*N)"),
        ({"S": 1e4, "B": 2e6}, "D", 2e10, "D derived as B*S"),
        ({"N": 1e9, "S": 1e4, "B": 2e6}, "C", 1.2e20, "C derived as 6*N*D"),
    ],
)
def test_missing_columns_are_derived_and_said_so(
    given: dict[str, object], derived: str, value: float, note: str
) -> None:
    runs = read_runs(pd.DataFrame([given | {"loss": 2.5}]))
    assert runs[derived].tolist() == pytest.approx([value], rel=1e-15)
    assert note in runs.attrs["notes"]


def test_an_empty_column_is_left_out_with_a_note() -> None:
    runs = read_runs(GRID.assign(U=np.nan, group=None))
    assert "U" not in runs and "group" not in runs
    assert "column 'U' is empty and was left out" in runs.attrs["notes"]


def test_reading_twice_keeps_what_was_derived_and_renews_warnings() -> None:
    runs = read_runs(pd.concat([GRID, GRID.iloc[[0]]]))
    assert any("repeat an earlier row" in note for note in warnings_of(runs))
    again = read_runs(runs.iloc[:9])
    assert "C derived as 6*N*D" in again.attrs["notes"] and not warnings_of(again)


def test_the_mapping_wins_over_exact_names_and_aliases() -> None:
    frame = GRID.assign(total=GRID["N"] * 2)
    runs = read_runs(frame, columns={"N": "total", "U": "D"})
    assert runs["N"].tolist() == frame["total"].tolist()
    assert runs["U"].tolist() == GRID["D"].tolist()
    assert runs["N_unused"].tolist() == GRID["N"].tolist()


def test_an_exact_name_wins_over_an_alias() -> None:
    runs = read_runs(GRID.assign(params=1.0))
    assert runs["N"].tolist() == GRID["N"].tolist() and runs["params"].tolist() == [1.0] * 9


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"N": "parms"}, r"columns maps N to 'parms'.*did you mean 'params'.*it has params, D, loss"),
        ({"Loss": "loss"}, r"'Loss' is no standard name \(did you mean 'loss'\?\); these are N, D, C"),
    ],
)
def test_a_wrong_mapping_is_a_usage_error(columns: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_runs(GRID.rename(columns={"N": "params"}), columns=columns)


def test_two_columns_for_one_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"'params' and 'model_size' both read as N \(parameters\).*columns=\{'N'"):
        read_runs(GRID.drop(columns="N").assign(params=1e9, model_size=2e9))


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("", "missing or NaN"),
        ("nan", "missing or NaN"),
        ("inf", "inf is infinite"),
        ("-1e9", r"-1000000000.0 is not positive"),
        ("0", r"0.* is not positive"),
        ("lots", "'lots' is not a number"),
        ("7B-chat", "'7B-chat' is not a number"),
        ("3B tokens", "'3B tokens' is in tokens, and N counts parameters"),
        ("1_00", "'1_00' is not a number"),
    ],
)
def test_bad_cells_are_refused_with_line_and_column(tmp_path: Path, cell: str, fault: str) -> None:
    path = write(tmp_path / "runs.csv", f"params,D,loss\n1e9,1e10,3\n\n{cell},1e10,2.5\n1e9,1e10,2.8\n")
    with pytest.raises(DataError, match=rf"runs.csv: 1 cell cannot be used: line 4, column 'params' \(N\): {fault}"):
        read_runs(path)


@pytest.mark.parametrize("cell", [True, 1j, pd.Timestamp("2020-01-01"), [1e9], b"1", None, "x", float("inf"), 0])
def test_bad_cells_of_a_frame_are_named_by_index_label(cell: object) -> None:
    frame = GRID.astype({"D": object}).set_index(pd.Index(list("abcdefghi")))
    frame["D"] = pd.Series([1e9, 1e9, cell, *[1e9] * 6], index=frame.index, dtype=object)
    with pytest.raises(DataError, match="a DataFrame: 1 cell cannot be used: row c, column D: "):
        read_runs(frame)


@pytest.mark.parametrize("column", [pd.Series([True] * 9), pd.date_range("2020", periods=9), np.full(9, 1j)])
def test_columns_that_are_no_numbers_are_refused(column: pd.Series) -> None:
    with pytest.raises(DataError, match=r"9 cells cannot be used: row 0, column N: .*; and 4 more"):
        read_runs(GRID.assign(N=column))


def test_at_most_five_cells_are_listed_and_the_rest_counted() -> None:
    frame = GRID.assign(loss=-1.0, D=0.0)
    with pytest.raises(DataError, match=r"18 cells cannot be used: row 0, column D.*; and 13 more") as caught:
        read_runs(frame)
    assert str(caught.value).count("is not positive") == 5


def test_a_standard_error_may_be_zero_but_not_negative() -> None:
    assert read_runs(GRID.assign(loss_se=0.0))["loss_se"].tolist() == [0.0] * 9
    with pytest.raises(DataError, match=r"row 4, column 'stderr' \(loss_se\): -0.1 is not positive"):
        read_runs(GRID.assign(stderr=np.where(GRID.index == 4, -0.1, 0.0)))


def test_lines_are_counted_through_quoted_newlines(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", 'N,D,loss,note\r\n1e9,1e10,3,"two\r\nlines"\r\n1e9,x,3,\r\n')
    with pytest.raises(DataError, match="line 4, column D: 'x' is not a number"):
        read_runs(path)


def test_integers_beyond_64_bits_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.csv", "N,C,loss\n103814400,218084691369000960000,3.4\n")
    assert read_runs(path)["C"].tolist() == [218084691369000960000.0]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.csv", b"", DataError, "the file is empty"),
        ("a.csv", b"N,D,loss\n", DataError, "no rows"),
        ("a.csv", b"N,D,loss\n1,2,3\n1,2,3,4\n", DataError, "line 3 has 4 cells and the header 3"),
        ("a.csv", b"N,D,loss\n1,2,3,4\n1,2,3,4\n", DataError, "line 2 has 4 cells and the header 3"),
        ("a.csv", b"N,D,N\n1,2,3\n", DataError, "header names 'N' twice"),
        ("a.csv", b"1e9,2e10,2.5\n1e9,1e10,2.6\n", DataError, "first line holds numbers"),
        ("a.csv", b'N,D,loss\n1,"2,3\n', DataError, "not a table"),
        ("a.csv", "N,D,loss\n".encode("utf-16"), DataError, "no rows"),
        ("a.csv", b"N,D,loss\n\x81,\x8d\n", DataError, "not UTF-8"),
        ("a.csv", b"N,D,loss\n\xff\x01,2\n", DataError, "control characters"),
        ("a.csv", b"N,D\0,loss\n", DataError, "NUL bytes"),
        ("a.csv.gz", b"N,D,loss\n", DataError, "not a readable gzip"),
        ("a.parquet", b"PAR1 no", DataError, "not a readable Parquet"),
        ("a.jsonl", b'{"N": 1}\n{"N": \n', DataError, "line 2 is not one JSON object"),
        ("a.jsonl", b"[1, 2]\n", DataError, "line 1 is a JSON list"),
        ("a.jsonl", b'{"N": 1, "N": 2}\n', DataError, "the name 'N' occurs twice"),
        ("a.docx", b"", UsageError, "accepted endings are .csv"),
        ("a.xls", b"", UsageError, "accepted endings are .csv.*save the sheet as .xlsx or .csv"),
        ("a.pkl", b"", UsageError, "accepted endings are .csv.*a pickle may run anything"),
        ("a.parquet.gz", b"PAR1", DataError, "not a readable gzip"),
        ("a.csv.zip", b"PK", DataError, "not a readable zip"),
        ("a.csv.bz2", b"N,D", DataError, "not a readable bzip2"),
        ("a.csv.xz", b"N,D", DataError, "not a readable xz"),
        ("a.json", b"[1, 2]", DataError, "object 1 is of type int; a table is a list of objects"),
        ("a.json", b'{"N": [1, 2], "D": [1]}', DataError, "not one length: N has 2, D has 1"),
        ("a.json", b"[]", DataError, "no rows"),
        ("a.json", b"{", DataError, "not a JSON document"),
        ("a.json", b"3", DataError, "holds what is of type int"),
        ("a.json", b'{"a": [1], "b": [1, 2], "c": {}}', DataError, "has not the shape of a table"),
    ],
)
def test_files_that_are_no_table(
    tmp_path: Path, name: str, content: bytes, error: type[BayescaleError], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=rf"{name}: .*{message}"):
        read_runs(tmp_path / name)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none.csv: No such file"):
        read_runs(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"no file and no data set is called 'palm' \(did you mean 'palm2'\?\)"):
        read_runs("palm")
    with pytest.raises(UsageError, match="no file and no data set"):
        read_runs("N,D,loss\n" * 1000)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=r"cannot read .*folder.csv"):
        read_runs(tmp_path / "folder.csv")


def test_a_name_reads_the_data_set_that_ships() -> None:
    assert len(read_runs("palm2")) == 12


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"N": GRID["N"] / 1e9}, r"N is below 1e3 in 9 rows \(least 0.1, row 0\): are these billions\?"),
        ({"D": GRID["D"] / 1e9}, r"D looks like it is in millions or billions of tokens \(greatest 100\)"),
        (
            {"C": 6 * GRID["N"] * GRID["D"] * np.where(GRID.index == 5, 2.1, 1.9)},
            r"factor 2 in 1 rows \(worst row 5",
        ),
        ({"loss": GRID["loss"] * 10}, r"loss is above 20 in 9 rows \(first row 0\): is this perplexity"),
        ({"loss": GRID["loss"] / 100}, "every loss is below 0.05"),
        ({"N": 1e9, "D": 1e9, "loss": 3.0}, r"8 rows repeat an earlier row exactly \(first row 1\)"),
    ],
)
def test_what_looks_wrong_is_warned_of(change: dict[str, object], warning: str) -> None:
    found = warnings_of(read_runs(GRID.assign(**change)))  # type: ignore[arg-type]
    assert any(re.search(warning, sentence) for sentence in found), found


def test_a_clean_table_has_no_warnings() -> None:
    assert not warnings_of(read_runs(GRID))


def test_observations_take_what_a_law_needs() -> None:
    frame = read_runs(GRID.assign(loss_se=0.01, group="c4", run=range(9)))
    seen = observations(frame[frame["N"] > 1e8], inputs=("N", "D"), constants=5, law="chinchilla")
    assert isinstance(seen, Observations) and seen.rows == 6
    assert list(seen.inputs) == ["N", "D"] and all(v.dtype == np.float64 for v in seen.inputs.values())
    assert seen.labels.tolist() == [3, 4, 5, 6, 7, 8]
    assert seen.se is not None and seen.se.tolist() == [0.01] * 6
    assert seen.group is not None and seen.group.tolist() == ["c4"] * 6
    assert seen.run is not None and seen.run.tolist() == list("345678")
    assert seen.metric == "loss" and seen.warnings == () and seen.source == "a DataFrame"


def test_observations_of_another_metric() -> None:
    frame = GRID.assign(experts=[0, 1, 2] * 3, error_rate=0.5, error_rate_se=0.1)
    seen = observations(frame, inputs=("N", "experts"), metric="error_rate", constants=3, law="mine")
    assert seen.observed.tolist() == [0.5] * 9 and seen.se is not None and seen.se.tolist() == [0.1] * 9
    frame.loc[2, "error_rate"] = 0.0
    with pytest.raises(DataError, match=r"row 2, column error_rate: 0\.0 is not positive"):
        observations(frame, inputs=("N",), metric="error_rate", constants=2, law="mine")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            GRID.drop(columns="N"),
            r"chinchilla needs the column N \(parameters\); the table has D, loss\. .*columns=",
        ),
        (GRID.drop(columns="loss"), r"chinchilla needs the column loss \(nats per token\)"),
        (GRID.head(3), r"chinchilla has 5 constants; the table has 3 rows and at least 6 are needed"),
        (
            pd.concat([GRID.iloc[[0, 4, 7, 8]]] * 2),
            r"the table has 4 distinct values of \(N, D\) and at least 5",
        ),
        (GRID.assign(D=1e10), r"D is 1e\+10 in every row, so a term of chinchilla in it"),
    ],
)
def test_tables_that_cannot_determine_a_law_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        observations(frame, inputs=("N", "D"), constants=5, law="chinchilla")


def test_collinear_inputs_are_warned_of() -> None:
    seen = observations(read_runs("cerebras_gpt"), inputs=("N", "D"), constants=5, law="chinchilla")
    assert re.search(r"N and D move together \(correlation of logs 1\): .* terms of chinchilla", seen.warnings[-1])
    three = observations(GRID, inputs=("N", "D", "C"), constants=3, law="mine")
    assert re.search(r"N, D, C move together \(one is nearly a product of powers", three.warnings[-1])


def test_observations_carry_the_warnings_of_the_table() -> None:
    seen = observations(GRID.assign(loss=GRID["loss"] * 10), inputs=("N", "D"), constants=5, law="chinchilla")
    assert any(sentence.startswith("loss is above 20") for sentence in seen.warnings)


def test_a_million_rows_are_read_quickly() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(np.exp(rng.normal(20, 1, (1_000_000, 2))), columns=["N", "D"]).assign(loss=2.0)
    start = time.process_time()
    observations(read_runs(frame), inputs=("N", "D"), constants=5, law="chinchilla")
    assert time.process_time() - start < 10


good = st.floats(min_value=1e-3, max_value=1e30, allow_subnormal=False)
bad = st.sampled_from(["", "x", "-1", "0", "nan", "inf", "1,000,0", "True", "7Bx", " ", "1e999", "٣x", '"', "'"])
names = st.lists(st.sampled_from(["N", "D", "C", "S", "B", "U", "loss"]), min_size=1, max_size=4, unique=True)
quick = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(data=st.data(), columns=names, rows=st.integers(1, 6))
def test_good_tables_round_trip(tmp_path: Path, data: st.DataObject, columns: list[str], rows: int) -> None:
    frame = pd.DataFrame({name: data.draw(st.lists(good, min_size=rows, max_size=rows)) for name in columns})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in frame.itertuples(index=False)]
    write(tmp_path / "a.jsonl", "\n\n".join(lines))
    for file in ("a.csv", "a.parquet", "a.jsonl"):
        found = read_runs(tmp_path / file)
        pd.testing.assert_frame_equal(found[columns], frame, check_exact=True)


@quick
@given(data=st.data(), columns=names, rows=st.integers(2, 6), cell=bad)
def test_a_bad_cell_is_named_by_row_and_column(
    tmp_path: Path, data: st.DataObject, columns: list[str], rows: int, cell: str
) -> None:
    column, row = data.draw(st.sampled_from(columns)), data.draw(st.integers(0, rows - 1))
    table = [[repr(data.draw(good)) for _ in columns] for _ in range(rows)]
    table[row][columns.index(column)] = cell
    if len(columns) == 1 and not cell.strip():
        return  # a blank line, which is skipped
    frame = pd.DataFrame(table, columns=columns)
    frame.to_csv(tmp_path / "a.csv", index=False)
    lines = [json.dumps(dict(zip(columns, cells, strict=True))) for cells in table]
    write(tmp_path / "a.jsonl", "\n".join(lines))
    for source, place in ((tmp_path / "a.csv", f"line {row + 2}"), (tmp_path / "a.jsonl", f"line {row + 1}"),
                          (frame, f"row {row}")):  # fmt: skip
        with pytest.raises(DataError, match=f"1 cell cannot be used: {place}, column {column}: "):
            read_runs(source)


@quick
@given(content=st.one_of(st.binary(max_size=80), st.text(alphabet='ND,loss\n\r\t";1.5e-{}[]: ', max_size=80)),
       ending=st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".csv.gz"]))  # fmt: skip
def test_any_bytes_give_a_table_or_one_sentence(tmp_path: Path, content: bytes | str, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        runs = read_runs(path)
    except BayescaleError as error:
        assert "\n" not in str(error)
    else:
        assert all(math.isfinite(v) for name in runs.columns if name in list(COLUMNS)[:7] for v in runs[name])
