"""Exports of trackers, spreadsheets and notebooks, read as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayescale.errors import DataError
from bayescale.runs import read_runs

N = [7e7, 1.6e8, 4.1e8]
D = [2e9, 4e9, 8e9]
LOSS = [3.4, 3.1, 2.8]


def read(text: str, name: str = "runs.csv", **options: object) -> pd.DataFrame:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return read_runs(path, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(runs: pd.DataFrame, N: list[float] = N, D: list[float] = D, loss: list[float] = LOSS) -> None:
    for name, values in (("N", N), ("D", D), ("loss", loss)):
        np.testing.assert_allclose(runs[name], values, rtol=1e-12)


def test_a_table_of_runs() -> None:
    """Weights & Biases, the runs table: Name, State, ..., config and summary with dots and slashes."""
    text = (
        '"Name","State","Notes","User","Tags","Created","Runtime","Sweep","n_params","optimizer.lr","tokens","eval/loss",'
        '"train/loss"\n'
        '"'
        'g-70m","finished","-","ann","","2026-01-01T00:00:00.000Z","3600","","70000000","0.001","2000000000","3.4","3.5"\n'
        '"g-160m","finished","","ann","a, b","2026-01-01T00:00:00Z","3600","","160000000","0.001","4000000000","3.1",'
        '"3.2"\n'
        '"'
        'g-410m","finished","-","ann","","2026-01-01T00:00:00.000Z","3600","","410000000","0.001","8000000000","2.8","2.9"\n'
        '"g-1b","crashed","-","ann","","2026-01-01T00:00:00.000Z","36","","1000000000","0.001","","",""\n'
    )
    check(read(text, where="State=finished"))


def test_runs_by_the_programming_interface() -> None:
    """Weights & Biases, the documented export: config and summary as the text of Python dicts."""
    rows = [
        {
            "summary": str({"_step": 100, "eval/loss": y, "train/tokens": d, "_wandb": {"runtime": 5}}),
            "config": str({"model": {"n_params": n, "d_model": 512}, "lr": 1e-3}),
            "name": f"run-{i}",
        }
        for i, (n, d, y) in enumerate(zip(N, D, LOSS, strict=True))
    ]
    pd.DataFrame(rows).to_csv("project.csv")
    check(read_runs("project.csv"))
    rows[1]["summary"] = rows[1]["summary"].replace("3.1", "nan")
    check(read_runs(rows, drop_bad=True), N[::2], D[::2], LOSS[::2])
    nested = [{"config": {"model": {"n_params": n}}, "summary": {"eval/loss": y, "train/tokens": d}, "state": "x"}
              for n, d, y in zip(N, D, LOSS, strict=True)]  # fmt: skip
    check(read(json.dumps(nested), "runs.json"))
    check(read("\n".join(map(json.dumps, nested)), "runs.jsonl"))
    check(read_runs(nested))


def test_a_chart() -> None:
    """Weights & Biases, a chart's CSV: a column a run, with its least and greatest."""
    text = (
        '"Step","g-70m - eval/loss","g-70m - eval/loss__MIN","g-70m - eval/loss__MAX","g-160m - eval/loss",'
        '"g-160m - eval/loss__MIN","g-160m - eval/loss__MAX"\n'
        '"100","3.9","3.9","3.9","3.8","3.8","3.8"\n"200","3.6","3.6","3.6","","",""\n'
        '"300","3.4","3.4","3.4","3.1","3.1","3.1"\n'
    )
    runs = read(text, columns={"N": "size(run)", "D": "Step*2^19"})
    check(runs, [7e7] * 3 + [1.6e8] * 2, [x * 2**19 for x in (100, 200, 300, 100, 300)], [3.9, 3.6, 3.4, 3.8, 3.1])
    assert runs["run"].tolist() == ["g-70m"] * 3 + ["g-160m"] * 2 and runs["S"].tolist() == [100, 200, 300, 100, 300]
    assert "a chart's columns turned into rows: 2 runs, eval/loss" in runs.attrs["notes"]
    with pytest.raises(DataError, match=r"line 3, column 'eval/loss' \(loss\): 'x' is not a number"):
        read(text.replace('"3.6","3.6","3.6"', '"x","3.6","3.6"'))


def test_a_chart_against_tokens() -> None:
    """Weights & Biases, a chart with an axis of its own, groups of runs, and the step of each."""
    text = (
        "train/tokens_seen,mix: web - eval/loss,mix: web - eval/loss__MIN,mix: web - _step,mix: code - eval/loss,"
        "mix: code - eval/loss__MIN,mix: code - _step\n1e9,3.9,3.8,10,,,\n2e9,3.5,3.4,20,3.2,3.1,20\n"
    )
    runs = read(text)
    assert runs["D"].tolist() == [1e9, 2e9, 2e9] and runs["loss"].tolist() == [3.9, 3.5, 3.2]
    assert runs["run"].tolist() == ["mix: web", "mix: web", "mix: code"]


def test_scalars_of_one_run() -> None:
    """TensorBoard's download: Wall time, Step, Value."""
    text = "Wall time,Step,Value\n1700000000.1,100,3.9\n1700000100.2,200,3.5\n"
    runs = read(text, columns={"loss": "Value", "N": "70e6", "D": "Step*524288"})
    check(runs, [7e7] * 2, [100 * 524288, 200 * 524288], [3.9, 3.5])


def test_scalars_as_a_log() -> None:
    """TensorBoard through tbparse: a row a scalar, with run, step and tag."""
    rows = [
        {"step": s, "tag": tag, "value": v, "dir_name": run}
        for run, n in (("a", 7e7), ("b", 1.6e8))
        for s in (100, 200)
        for tag, v in (("eval/loss", 4 - s / 1e3), ("train/tokens", s * 1e6), ("n_params", n))
    ]
    runs = read_runs(pd.DataFrame(rows))
    check(runs, [7e7] * 2 + [1.6e8] * 2, [1e8, 2e8] * 2, [3.9, 3.8] * 2)
    assert any(
        note.startswith("rows of one metric each turned into columns: eval/loss") for note in runs.attrs["notes"]
    )


def test_a_log_of_metrics() -> None:
    """Aim and MLflow: a row a value, with times that differ."""
    text = (
        "run.hash,metric.name,step,value,timestamp\nab,val_loss,10,3.4,1\nab,tokens,10,2e9,2\ncd,val_loss,10,3.1,3\n"
        "cd,tokens,10,4e9,4\n"
    )
    runs = read(text)
    assert runs["D"].tolist() == [2e9, 4e9] and runs["loss"].tolist() == [3.4, 3.1]
    history = "run_uuid,key,value,step\nab,val_loss,3.4,10\nab,tokens_seen,2e9,10\n"
    assert read(history)["loss"].tolist() == [3.4]


def test_searched_runs() -> None:
    """MLflow's search_runs: metrics., params. and tags., parameters as text."""
    text = (
        "run_id,experiment_id,status,artifact_uri,metrics.eval_loss,metrics.train_loss,params.n_params,params.n_tokens,"
        "tags.mlflow.runName\nab,1,FINISHED,s3://x,3.4,3.5,70000000,2000000000,r1\n"
        "cd,1,FINISHED,s3://y,3.1,3.2,160M,4B,r2\n"
        "ef,1,FINISHED,s3://z,2.8,2.9,410M,8B,r3\n"
    )
    runs = read(text, where="status = FINISHED")
    check(runs)
    assert runs["run"].tolist() == ["ab", "cd", "ef"]


def test_a_table_with_paths() -> None:
    """Neptune: sys/id, parameters/..., metrics/... (last)."""
    text = (
        "sys/id,sys/state,parameters/n_params,training/tokens (last),metrics/eval/loss (last)\n"
        "R-1,Inactive,7e7,2e9,3.4\nR-2,Inactive,1.6e8,4e9,3.1\nR-3,Inactive,4.1e8,8e9,2.8\n"
    )
    check(read(text))


def test_experiments_as_objects() -> None:
    """Comet: one object an experiment, keyed by its name, parameters as text."""
    content = {
        f"exp-{i}": {"params": {"n_params": str(int(n))}, "metrics": {"val_loss": str(y), "tokens_seen": str(d)}}
        for i, (n, d, y) in enumerate(zip(N, D, LOSS, strict=True))
    }
    runs = read(json.dumps(content), "comet.json")
    check(runs)
    assert runs["run"].tolist() == ["exp-0", "exp-1", "exp-2"]


def test_a_trainers_state() -> None:
    """Transformers: trainer_state.json, whose log_history has training and evaluation rows."""
    state = {
        "best_metric": None,
        "epoch": 1.0,
        "log_history": [
            {"loss": 4.0, "learning_rate": 1e-3, "step": 10, "num_input_tokens_seen": 1e9},
            {"eval_loss": 3.4, "step": 10, "num_input_tokens_seen": 1e9},
            {"loss": 3.5, "learning_rate": 1e-4, "step": 20, "num_input_tokens_seen": 2e9},
            {"eval_loss": 3.1, "step": 20, "num_input_tokens_seen": 2e9},
        ],
        "global_step": 20,
    }
    runs = read(json.dumps(state), "trainer_state.json", columns={"loss": "eval_loss"}, drop_bad=True)
    assert runs["D"].tolist() == [1e9, 2e9] and runs["loss"].tolist() == [3.4, 3.1]
    assert "the table is the list 'log_history'" in runs.attrs["notes"]


def test_curves_by_run() -> None:
    """A notebook's dict of histories: run -> rows."""
    content = {"r1": [{"N": 7e7, "tokens": 1e9, "loss": 4.0}, {"N": 7e7, "tokens": 2e9, "loss": 3.6}],
               "r2": [{"N": 1e8, "tokens": 1e9, "loss": 3.9}]}  # fmt: skip
    runs = read(json.dumps(content), "histories.json")
    assert runs["run"].tolist() == ["r1", "r1", "r2"] and runs["loss"].tolist() == [4.0, 3.6, 3.9]


def test_a_log_of_lines() -> None:
    """One object a line, as training scripts write it, with NaN where a run broke."""
    text = (
        '{"n_params": 7e7, "tokens_seen": 2e9, "val": {"loss": 3.4}}\n'
        '{"n_params": 7e7, "tokens_seen": 4e9, "val": {"loss": NaN}}\n'
    )
    assert read(text, "log.jsonl", drop_bad=True)["loss"].tolist() == [3.4]


def test_a_grid_of_sizes() -> None:
    """A spreadsheet with a column a size and a row a data set size."""
    text = "Tokens (B),70M,160M,410M\n2,3.4,3.2,\n4,3.3,3.1,2.9\n"
    runs = read(text)
    check(runs, [7e7, 7e7, 1.6e8, 1.6e8, 4.1e8], [2e9, 4e9, 2e9, 4e9, 4e9], [3.4, 3.3, 3.2, 3.1, 2.9])
    assert "columns 70M, 160M, 410M turned into rows: N is in their names, loss in their cells" in runs.attrs["notes"]
    other = read("model_size,3B,30B tokens\n70M,3.4,3.2\n160M,3.1,2.9\n")
    check(other, [7e7, 1.6e8] * 2, [3e9] * 2 + [3e10] * 2, [3.4, 3.1, 3.2, 2.9])
    named = read("D,N=70M,N=1e9\n1e9,3.4,3.2\n")
    check(named, [7e7, 1e9], [1e9] * 2, [3.4, 3.2])
    models = read("tokens,gpt-70m,gpt-160m\n2e9,3.4,3.1\n")
    assert models["run"].tolist() == ["gpt-70m", "gpt-160m"] and models["N"].tolist() == [7e7, 1.6e8]
    with pytest.raises(DataError, match=r"line 3, column loss: 'x' is not a number"):
        read(text.replace("3.3", "x"))


def test_a_grid_is_not_seen_where_there_is_none() -> None:
    for text in ("N,D,loss,acc_1B,acc_7B\n1e8,1e9,3,0.5,0.6\n", "D,x1,x2\n1e9,3,4\n", "N,2021,2022\n1e9,3,4\n",
                 "D,B_crit,other\n1e9,3,4\n"):  # fmt: skip
        assert len(read(text)) == 1


def test_a_spreadsheet_in_german() -> None:
    """Excel's CSV: a separator line, semicolons, decimal commas, thousands with points, a BOM."""
    text = (
        "\ufeffsep=;\r\nparams;tokens;loss;lr\r\n70.000.000;2.000.000.000;3,40;0,001\r\n"
        "1,6e8;4.000.000.000;3,1;0,001\r\n410.000.000;8.000.000.000;2,8;0,002\r\n"
    )
    runs = read(text)
    check(runs)
    assert runs["lr"].tolist() == [0.001, 0.001, 0.002]


def test_unicode_text_and_windows_encodings() -> None:
    text = "params\ttokens\tloss\tnötig\n7e7\t2e9\t3.4\tjä\n1.6e8\t4e9\t3.1\tx\n4.1e8\t8e9\t2.8\ty\n"
    for name, encoding, note in (("a.txt", "utf-16", "UTF-16"), ("b.tsv", "cp1252", "Windows-1252"),
                                 ("c.tsv", "utf-8-sig", "")):  # fmt: skip
        Path(name).write_bytes(text.encode(encoding))
        runs = read_runs(name)
        check(runs)
        assert runs.columns[-1] == "nötig"
        assert not note or f"read as {note} text" in runs.attrs["notes"]


def test_a_google_sheet() -> None:
    """Thousands with commas in quotes, an empty column, per cent, a trailing comma on every row."""
    text = (
        'Model,Parameters,Training tokens,Final loss,MMLU accuracy,\nA,"70,000,000","2,000,000,000",3.40,31.5%,,\n'
        'B,"160,000,000","4,000,000,000",3.10,40%,,\nC,"410,000,000","8,000,000,000",2.80,52.1%,,\n'
    )
    runs = read(text, columns={"accuracy": "MMLU accuracy"})
    check(runs)
    assert runs["error"].tolist() == pytest.approx([0.685, 0.6, 0.479])


def test_numpys_text() -> None:
    """savetxt: a commented header and spaces."""
    np.savetxt("runs.txt", np.stack([N, D, LOSS], axis=1), header="N D loss")
    check(read_runs("runs.txt"))
    text = "# exported on Monday\n# by ann\n\nN,D,loss\n7e7,2e9,3.4\n1.6e8,4e9,3.1\n4.1e8,8e9,2.8\n"
    check(read(text))
    with pytest.raises(DataError, match="line 6, column D"):
        read(text.replace("4e9", "x"))
    check(read("#params,tokens,loss\n70M,2B,3.4\n160M,4B,3.1\n410M,8B,2.8\n"))


def test_a_paper_table() -> None:
    """Typed off a paper: powers of ten in every spelling."""
    text = (
        "Parameters,Training FLOPs,Validation loss\n70 M,8.4×10¹⁷,3.4\n"  # noqa: RUF001
        "160 million,3.84 x 10^18,3.1\n$4.1 \\times 10^8$,1.968·10^19,2.8\n"
    )
    check(read(text))


def test_epochs_database() -> None:
    """Epoch AI's table of models: units in words, empty columns, more columns than are needed."""
    text = (
        "Model,Parameters,Training dataset size (tokens),Training compute (FLOP),Loss,Confidence\n"
        "A,7e7,2e9,8.4e17,3.4,Likely\n"
        "B,1.6e8,4e9,3.84e18,3.1,Likely\nC,4.1e8,8e9,1.968e19,2.8,\n"
    )
    check(read(text))


def test_megatron_and_neox_logs() -> None:
    text = (
        "iteration,consumed tokens,lm loss,lm loss ppl,num_params\n100,2e9,3.4,29.96,7e7\n"
        "200,4e9,3.1,22.2,1.6e8\n300,8e9,2.8,16.4,4.1e8\n"
    )
    runs = read(text)
    check(runs)
    assert runs["S"].tolist() == [100, 200, 300]


def test_steps_that_begin_at_zero_are_no_obstacle() -> None:
    runs = read("_step,N,tokens,loss\n0,7e7,2e9,3.4\n100,1.6e8,4e9,3.1\n200,4.1e8,8e9,2.8\n")
    check(runs)
    assert "S" not in runs and runs["_step"].tolist() == [0, 100, 200]


def test_batches_of_sequences_are_warned_of() -> None:
    runs = read("N,steps,batch_size,loss\n7e7,1000,256,3.4\n")
    assert any("B is 256 in the middle row: are these sequences?" in note for note in runs.attrs["notes"])
    mended = read("N,steps,batch_size,seq_len,loss\n7e7,1000,256,2048,3.4\n", columns={"B": "batch_size*seq_len"})
    assert mended["D"].tolist() == [1000 * 256 * 2048]
