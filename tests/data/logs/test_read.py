"""Logs of runs in the formats of experiment trackers."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale.errors import MissingExtraError, RunsError

SIZES = {"small": 7e7, "medium": 1.6e8, "large": 4.1e8}
STEPS = range(10, 60, 10)


def tokens_at(size: float, step: int) -> float:
    return 20 * size * step / 50


def loss_at(size: float, step: int) -> float:
    return 1.7 + 400 * size**-0.34 + 400 * tokens_at(size, step) ** -0.28


LOSSES = [loss_at(size, 50) for size in SIZES.values()]


def with_mlflow_files(root):
    """Write a file store, as MLflow 3.17 does with MLFLOW_ALLOW_FILE_STORE=true."""
    experiment = root / "150529804508637956"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").write_text(
        "experiment_id: '15'\nlifecycle_stage: active\nname: sweep\n"
    )
    for i, (name, size) in enumerate([*SIZES.items(), ("lost", 1e9), ("gone", 2e9)]):
        run = experiment / f"{i:032x}"
        points = {
            "val_loss": [loss_at(size, s) for s in STEPS],
            "tokens": [tokens_at(size, s) for s in STEPS],
        }
        for metric, values in points.items():
            path = run / "metrics" / metric
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = (f"1795961978934 {x} {s}" for s, x in zip(STEPS, values, strict=True))
            path.write_text("\n".join(lines) + "\n")
        (run / "params" / "model").mkdir(parents=True)
        (run / "params" / "n_params").write_text(str(int(size)))
        (run / "params" / "model" / "width").write_text("256")
        stage = "deleted" if name == "gone" else "active"
        (run / "meta.yaml").write_text(
            f"end_time: 1795961978973\nentry_point_name: ''\nlifecycle_stage: {stage}\n"
            f"run_id: {i:032x}\nrun_name: {name}\nstatus: {4 if name == 'lost' else 3}\ntags: []\n"
        )


def with_mlflow(root):
    """Write a file store with MLflow in a subprocess, since a variable enables it at import."""
    pytest.importorskip("mlflow", reason="mlflow is heavy, and not installed")
    code = (
        "import json, sys, mlflow\n"
        "uri, runs = sys.argv[1], json.loads(sys.argv[2])\n"
        "mlflow.set_tracking_uri(uri); mlflow.set_experiment('sweep')\n"
        "for name, size, points in runs:\n"
        "    with mlflow.start_run(run_name=name):\n"
        "        mlflow.log_params({'n_params': int(size), 'model/width': 256})\n"
        "        for step, loss, tokens in points:\n"
        "            mlflow.log_metrics({'val_loss': loss, 'tokens': tokens}, step=step)\n"
        "mlflow.start_run(run_name='lost'); mlflow.log_metric('val_loss', 9.0)\n"
        "mlflow.end_run('FAILED')\n"
    )
    runs = [
        (name, size, [(s, loss_at(size, s), tokens_at(size, s)) for s in STEPS])
        for name, size in SIZES.items()
    ]
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"}
    subprocess.run(
        [sys.executable, "-c", code, f"file:{root}", json.dumps(runs)], env=environment, check=True
    )


def with_tensorboard(root):
    """Write event files and hyperparameters, as PyTorch's SummaryWriter does."""
    writer = pytest.importorskip("tensorboardX").SummaryWriter
    for name, size in SIZES.items():
        with writer(str(root / name)) as events:
            for step in STEPS:
                events.add_scalar("val_loss", loss_at(size, step), step)
                events.add_scalar("tokens", tokens_at(size, step), step)
            events.add_hparams(
                {"n_params": size, "model": "gpt"}, {"hp/loss": 1.0}, name="settings"
            )


def with_trainer(root):
    """Write states as Hugging Face's Trainer saves them, the last one only in a checkpoint."""
    for name, size in SIZES.items():
        for last in (30, 50):
            history = []
            for step in (s for s in STEPS if s <= last):
                history.append(
                    {"loss": loss_at(size, step) + 0.1, "learning_rate": 1e-4, "step": step}
                )
                history.append(
                    {"eval_loss": loss_at(size, step), "eval_runtime": 1.2, "step": step}
                )
            state = {
                "best_metric": None,
                "global_step": last,
                "is_local_process_zero": True,
                "log_history": [*history, {"train_runtime": 9.0, "train_loss": 4.5, "step": last}],
                "num_input_tokens_seen": tokens_at(size, last),
                "total_flos": 6 * size * tokens_at(size, last),
                "trial_params": None,
            }
            folder = root / name / f"checkpoint-{last}"
            folder.mkdir(parents=True)
            (folder / "trainer_state.json").write_text(json.dumps(state))
        (root / name / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 4}))


def with_tables(root):
    """Write metrics.csv and hparams.yaml, as Lightning's CSVLogger does: cells of other rows empty."""
    for name, size in SIZES.items():
        folder = root / name / "version_0"
        folder.mkdir(parents=True)
        lines = ["epoch,step,tokens,train_loss,val_loss"]
        for step in STEPS:
            lines.append(f"0,{step},{tokens_at(size, step)!r},{loss_at(size, step) + 0.1!r},")
            lines.append(f"0,{step},,,{loss_at(size, step)!r}")
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
        (folder / "hparams.yaml").write_text(f"n_params: {size:.1f}\nbetas:\n- 0.9\n- 0.95\n")


def with_lines(root):
    """Write log.jsonl of a training loop beside its config.json."""
    for name, size in SIZES.items():
        folder = root / name / "logs"
        folder.mkdir(parents=True)
        rows = [
            {"iter": s, "tokens": tokens_at(size, s), "val_loss": loss_at(size, s)} for s in STEPS
        ]
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (root / name / "config.json").write_text(json.dumps({"model": {"n_params": size}}))


WRITERS = [
    with_mlflow_files,
    with_mlflow,
    with_tensorboard,
    with_trainer,
    with_tables,
    with_lines,
]


@pytest.fixture(params=WRITERS, ids=lambda writer: writer.__name__.removeprefix("with_"))
def folder(request, tmp_path):
    request.param(tmp_path / "sweep")
    return tmp_path / "sweep"


def test_a_folder_of_logs_is_a_table_of_runs(folder):
    nested = {"n_params": "model.n_params"} if folder.parent.name.count("lines") else {}
    runs = bs.load_runs(folder, columns=nested)
    order = np.argsort(runs.n_params)
    np.testing.assert_allclose(runs.n_params[order], list(SIZES.values()), rtol=1e-6)
    np.testing.assert_allclose(runs.n_tokens[order], [20 * x for x in SIZES.values()], rtol=1e-6)
    np.testing.assert_allclose(runs.loss[order], LOSSES, rtol=1e-6)
    names = [name.split("/")[0] for name in runs.table["run"].iloc[order]]
    assert names == list(SIZES)
    assert any("read the logs of" in note for note in runs.notes)


def test_a_folder_of_logs_has_curves(folder):
    logs = bs.read_logs(folder)
    metric = next(name for name in ("val_loss", "eval_loss") if name in logs.metrics)
    points = logs.curves(metric)
    assert points.columns.to_list() == ["run", "step", metric]
    kept = points[~points["run"].isin(["lost"])]
    assert len(kept) == len(SIZES) * len(STEPS)
    of_small = kept[kept["run"].str.startswith("small")]
    np.testing.assert_allclose(of_small[metric], [loss_at(7e7, s) for s in STEPS], rtol=1e-6)
    assert of_small["step"].tolist() == list(STEPS)


def test_the_last_values_are_smoothed(tmp_path):
    with_tables(tmp_path)
    table = bs.read_logs(tmp_path, last=3).table.set_index("run")
    expected = np.mean([loss_at(7e7, s) for s in (30, 40, 50)])
    assert table.loc["small/version_0", "val_loss"] == pytest.approx(expected, rel=1e-12)
    assert table.loc["small/version_0", "betas"] == "[0.9, 0.95]"


def test_curves_against_a_metric_and_a_forecast_of_them(tmp_path):
    with_tables(tmp_path)
    logs = bs.read_logs(tmp_path)
    points = logs.curves("val_loss", "tokens")
    small = points[points["run"] == "small/version_0"]
    np.testing.assert_allclose(small["tokens"], [tokens_at(7e7, s) for s in STEPS])
    found = bs.forecast(tmp_path, to=100, y="val_loss", laws=["power-law-floor"])
    assert sorted(found.weights.index) == [f"{name}/version_0" for name in sorted(SIZES)]
    with pytest.raises(RunsError, match="found the metrics 'epoch', .*Name it: y="):
        bs.forecast(tmp_path, to=100)
    with pytest.raises(RunsError, match="found no metric 'valloss'.*Did you mean 'val_loss'"):
        logs.curves("valloss")


def test_a_run_that_diverged_has_no_last_finite_loss(tmp_path):
    with_mlflow_files(tmp_path)
    path = next(tmp_path.rglob("metrics/val_loss"))
    path.write_text(path.read_text() + "1795961978934 NaN 60\n")
    with pytest.raises(RunsError, match="val_loss.*found 'nan'"):
        bs.load_runs(tmp_path)


def test_unfinished_and_deleted_runs_of_mlflow_are_left_out_and_said(tmp_path):
    with_mlflow_files(tmp_path)
    runs = bs.load_runs(tmp_path)
    assert len(runs) == 3
    assert "left out deleted runs: 1" in runs.notes
    assert "left out unfinished runs: 1 of 4 runs (failed)" in runs.notes
    path = next(tmp_path.rglob("metrics/val_loss"))
    path.write_text("half\n")
    with pytest.raises(
        RunsError, match=r"val_loss, line 1: found 'half', expected a time, a value"
    ):
        bs.load_runs(tmp_path)


def test_parts_of_a_run_are_one_run(tmp_path):
    """Merge event files below a Trainer's output, and separate ones of training and validation."""
    writer = pytest.importorskip("tensorboardX").SummaryWriter
    with_trainer(tmp_path / "hf")
    with writer(str(tmp_path / "hf" / "small" / "runs" / "Nov29_host")) as events:
        events.add_scalar("train/loss", 3.0, 10)
    assert len(bs.read_logs(tmp_path / "hf").logs) == 3
    for part in ("train", "validation"):
        with writer(str(tmp_path / "keras" / "run1" / part)) as events:
            events.add_scalar("epoch_loss", 3.0 if part == "train" else 3.2, 1)
    (log,) = bs.read_logs(tmp_path / "keras").logs
    assert log.name == "run1"
    assert log.final(1) == pytest.approx({"train/epoch_loss": 3.0, "validation/epoch_loss": 3.2})


def test_scalars_of_tensorflow_2_are_tensors(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary as Logged
    from tensorboard.plugins.scalar.metadata import create_summary_metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path))
    about = create_summary_metadata(display_name=None, description=None)
    for step in STEPS:
        value = Logged.Value(tag="loss", tensor=make_tensor_proto(float(step)), metadata=about)
        writer.add_event(Event(step=step, wall_time=1.0, summary=Logged(value=[value])))
    writer.close()
    (log,) = bs.read_logs(tmp_path).logs
    assert log.metrics["loss"].to_dict() == {step: float(step) for step in STEPS}
    (path,) = tmp_path.iterdir()
    assert bs.read_logs(path).logs[0].metrics["loss"].index.tolist() == list(STEPS)


class Run(SimpleNamespace):
    """The public interface of a run of W&B's API, without a network."""

    def scan_history(self):
        for step in STEPS:
            yield {"_step": step, "_runtime": 1.0, "val_loss": loss_at(self.size, step)}
            yield {"_step": step, "tokens": tokens_at(self.size, step), "text": "no number"}


def projects(_path):
    for name, size in [*SIZES.items(), ("lost", 1e9)]:
        yield Run(
            id=name[:3],
            name=name,
            size=size,
            state="crashed" if name == "lost" else "finished",
            config={"n_params": size, "optimizer": {"lr": 3e-4}, "_wandb": {"v": 1}},
            summary={"val_loss": loss_at(size, 50), "tokens": tokens_at(size, 50), "_step": 50},
        )


def test_weights_and_biases_through_its_client(monkeypatch):
    client = SimpleNamespace(Api=lambda: SimpleNamespace(runs=projects))
    monkeypatch.setitem(sys.modules, "wandb", client)
    runs = bs.load_runs("wandb:me/sweep")
    np.testing.assert_allclose(runs.loss, LOSSES)
    assert "left out unfinished runs: 1 of 4 runs (crashed)" in runs.notes
    assert "optimizer.lr" in runs.table and not any("_wandb" in name for name in runs.table)
    logs = bs.read_logs(projects(""), last=2)
    assert logs.metrics == ("val_loss", "tokens")
    expected = np.mean([loss_at(7e7, s) for s in (40, 50)])
    assert logs.table["val_loss"][0] == pytest.approx(expected)


def test_a_project_that_is_not_there(monkeypatch):
    def refused(path):
        raise ValueError(f"Could not find project {path}")

    client = SimpleNamespace(Api=lambda: SimpleNamespace(runs=refused))
    monkeypatch.setitem(sys.modules, "wandb", client)
    with pytest.raises(
        RunsError, match=r"wandb:me/x: could not be read \(ValueError: .*wandb login"
    ):
        bs.load_runs("wandb:me/x")


@pytest.mark.parametrize(
    ("missing", "source", "said"),
    [
        ("wandb", "wandb:me/sweep", "pip install wandb"),
        ("mlflow", "mlflow:sqlite:///x.db", "pip install mlflow"),
        ("tensorboard", "events", r"bayescale\[logs\]"),
        ("yaml", "tables", r"bayescale\[logs\]"),
    ],
)
def test_what_is_not_installed_is_named(missing, source, said, tmp_path, monkeypatch):
    if source == "events":
        (tmp_path / "events.out.tfevents.1").touch()
        source = tmp_path
    elif source == "tables":
        with_tables(tmp_path)
        source = tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=said):
        bs.load_runs(source)


def test_names_and_settings_that_clash(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "metrics.csv").write_text("step,lr,loss\n1,0.1,3.0\n2,0.01,2.9\n")
        (folder / "config.json").write_text('{"lr": 0.1, "seed": 1}')
    table = bs.read_logs(tmp_path).table
    assert table.columns.to_list() == ["run", "config.lr", "seed", "lr", "loss"]
    assert table.loc[0, "config.lr"] == 0.1 and table.loc[0, "lr"] == 0.01


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metrics.csv", "a,b\n1,2\n", "found the columns 'a', 'b', expected one of step"),
        ("trainer_state.json", "{", r"could not be read as \.json"),
        ("trainer_state.json", "[]", "found no object"),
        ("trainer_state.json", '{"global_step": 3}', "found no log_history"),
        ("log.jsonl", "{not\n", r"could not be read as \.jsonl"),
    ],
)
def test_logs_that_cannot_be_read(name, text, said, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(RunsError, match=said):
        bs.read_logs(tmp_path)


def test_what_is_no_log_is_refused(tmp_path):
    with pytest.raises(RunsError, match="found no log of a run, expected MLflow's mlruns"):
        bs.read_logs(tmp_path)
    with pytest.raises(RunsError, match="there is no such file or folder"):
        bs.read_logs(tmp_path / "none")
    with pytest.raises(RunsError, match="last: found 0"):
        bs.read_logs(tmp_path, last=0)
    with pytest.raises(RunsError, match="found no runs in it, .* or logs of runs"):
        bs.load_runs(tmp_path)


def test_a_trainer_state_is_a_curve(tmp_path):
    with_trainer(tmp_path)
    path = tmp_path / "small" / "checkpoint-50" / "trainer_state.json"
    (log,) = bs.read_logs(path).logs
    assert log.config["num_input_tokens_seen"] == tokens_at(7e7, 50)
    assert len(log.metrics["train/loss"]) == len(STEPS)
    assert "train_loss" not in log.metrics
    table = pd.DataFrame(bs.read_logs(path).curves("eval_loss"))
    assert table["step"].tolist() == list(STEPS)


def test_a_setting_that_holds_itself_is_a_text(tmp_path):
    with_tables(tmp_path)
    (tmp_path / "small" / "version_0" / "hparams.yaml").write_text("n_params: 7e7\nodd: &a [*a]\n")
    table = bs.read_logs(tmp_path).table.set_index("run")
    assert table.loc["small/version_0", "odd"] == "[[...]]"
