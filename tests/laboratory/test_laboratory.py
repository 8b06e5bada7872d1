"""The training program of the dataset `laboratory`: exact counts and repeats, one row per run."""

import json
from dataclasses import fields
from functools import partial

import numpy as np
import pandas as pd
import pytest

jax = pytest.importorskip("jax", reason="the extra `jax` is not installed")

from laboratory import __main__ as program  # noqa: E402
from laboratory import texts  # noqa: E402
from laboratory.sweep import Rule, Sweep  # noqa: E402
from laboratory.table import Table  # noqa: E402
from laboratory.training import (  # noqa: E402
    CHECKPOINTS,
    Setting,
    batches,
    blocks,
    rates,
    train,
    validation_set,
)
from laboratory.transformer import (  # noqa: E402
    CONTEXT,
    VOCABULARY,
    Shape,
    attention,
    initialise,
    mean_loss,
)

STEPS = 5
TINY = Setting("prose", 8, 1, STEPS * 256, 256, 0.02)
SENTENCE = "It is a truth universally acknowledged, that every law has an exponent. "

SWEEP = """
[rule]
rate = 0.02
n_params = 2816
exponent = 0.5

[[design]]
name = "grid"
corpora = ["prose", "code"]
shapes = [[8, 1]]
n_tokens = [1280, 2560]
batch_tokens = [256]

[[design]]
name = "rates"
shapes = [[8, 1]]
n_tokens = [1280]
batch_tokens = [256]
rate_factors = [0.5, 1.0]
"""


def words(text: str, documents: int = 800) -> list[texts.Document]:
    rng = np.random.default_rng(len(text))
    return [(f"{i}", " ".join(rng.choice(text.split(), 200))) for i in range(documents)]


@pytest.fixture(autouse=True)
def small_texts(monkeypatch, tmp_path):
    """Replace the corpora by two small ones."""
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", "")  # it is set by the program
    monkeypatch.setattr(
        texts,
        "CORPORA",
        {
            "prose": (lambda: words(SENTENCE), ("python",), "ours"),
            "code": (lambda: words("for i in range ( n ) : pass"), ("python",), "ours"),
        },
    )
    monkeypatch.setattr(program, "CORPORA", texts.CORPORA)
    texts.corpus.cache_clear()
    yield
    texts.corpus.cache_clear()


@pytest.mark.parametrize("shape", [Shape(8, 1), Shape(16, 2), Shape(48, 3)])
def test_parameter_counts_are_those_of_the_weights(shape):
    weights = initialise(shape, seed=1)
    assert shape.n_params == sum(w.size for w in weights.values())
    assert shape.n_params - shape.n_params_nonembedding == weights["embedding"].size


def products(jaxpr) -> int:
    """Return the multiplications and additions of every matrix product in a traced program."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            terms = np.prod([equation.invars[0].aval.shape[i] for i in summed])
            total += 2 * int(terms) * int(np.prod(equation.outvars[0].aval.shape))
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                total += products(inner)
    return total


@pytest.mark.parametrize("shape", [Shape(8, 1), Shape(16, 2), Shape(48, 3)])
def test_flop_are_those_of_the_traced_program(shape):
    """Count each product of the forward and backward pass in the traced program."""
    sequences = np.zeros((3, CONTEXT + 1), np.uint8)
    loss = partial(mean_loss, head=shape.head)
    traced = jax.make_jaxpr(jax.value_and_grad(loss))(initialise(shape, 1), sequences)
    assert products(traced.jaxpr) == shape.training_flop(3 * CONTEXT)


def test_flop_by_hand():
    """Check one layer of width 8 on one sequence, written out."""
    forward = 2 * CONTEXT * (8 * 24 + 8 * 8 + 8 * 32 + 32 * 8 + 8 * 256)
    forward += 2 * 2 * CONTEXT * CONTEXT * 8
    assert Shape(8, 1).training_flop(CONTEXT) == 3 * forward


def test_attention_is_causal():
    rng = np.random.default_rng(1)
    one = rng.standard_normal((2, CONTEXT, 3 * 16)).astype(np.float32)
    other = one.copy()
    other[:, -1] += 1.0
    before, after = np.asarray(attention(one, head=8)), np.asarray(attention(other, head=8))
    np.testing.assert_array_equal(before[:, :-1], after[:, :-1])
    assert np.abs(before[:, -1] - after[:, -1]).max() > 0.1


@pytest.mark.slow
def test_loss_falls_and_a_repeat_is_the_same():
    prose, code = texts.corpus("prose"), texts.corpus("code")
    row, curve = train(TINY, prose, (code,))
    again, same = train(TINY, prose, (code,))
    assert curve == same
    assert row["loss"] == again["loss"] == row["loss_prose"] == curve[-1]["loss"]
    assert curve[-1]["loss"] < curve[0]["loss"] < np.log(VOCABULARY) + 0.5
    assert row["loss_code"] > row["loss"]
    assert [point["n_steps"] for point in curve] == sorted(
        {max(1, round(share * STEPS)) for share in CHECKPOINTS}
    )
    other, _ = train(Setting("prose", 8, 1, TINY.n_tokens, 256, 0.02, seed=2), prose)
    assert other["loss"] != row["loss"]


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_every_epoch_reads_the_same_blocks_once(epochs):
    setting = Setting("prose", 8, 1, 40 * CONTEXT, 2 * CONTEXT, 0.01, epochs=epochs)
    order = batches(setting, texts.corpus("prose").training).ravel()
    assert len(order) == 40
    parts = order.reshape(epochs, -1)
    assert all(len(set(part)) == 40 // epochs for part in parts)
    assert len({frozenset(part.tolist()) for part in parts}) == 1


def test_a_corpus_that_is_too_small_is_refused():
    setting = Setting("prose", 8, 1, 10**6 * CONTEXT, CONTEXT, 0.01)
    with pytest.raises(ValueError, match=r"expected at least 64000000; train on fewer"):
        batches(setting, texts.corpus("prose").training)


def test_training_and_validation_share_no_document():
    documents = [(f"name {i}", f"<{i}>" * 9) for i in range(500)]
    parts = {
        name: bytes(part).split(texts.SEPARATOR) for name, part in texts.split(documents).items()
    }
    assert not {*parts["training"]} & {*parts["validation"]} - {b""}
    assert len(parts["training"]) + len(parts["validation"]) == 502
    assert 25 < len(parts["validation"]) < 80


def test_schedules_rise_and_fall():
    cosine, constant = (
        rates(Setting("prose", 8, 1, 200 * 64, 64, 0.5, schedule))
        for schedule in ("cosine", "constant")
    )
    for rate in (cosine, constant):
        assert rate.max() == pytest.approx(0.5, rel=0.01)
        assert np.argmax(rate) == 9
        assert np.all(np.diff(rate[9:]) <= 0)
    assert cosine[-1] == pytest.approx(0.05)
    assert np.all(constant[10:160] == 0.5)
    assert constant[-1] == pytest.approx(0.5 / 40)


def test_a_sweep_lists_each_run_once_and_cheapest_first(tmp_path):
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP, encoding="utf-8")
    sweep = Sweep.read(file)
    assert len(sweep.settings) == 5
    assert [s.n_tokens for s in sweep.settings] == [1280, 1280, 1280, 2560, 2560]
    shared = Setting("prose", 8, 1, 1280, 256, 0.02)
    assert sweep.designs[shared] == ("grid", "rates")
    assert Rule(0.02, 2816, 0.5)(Shape(16, 1), 2.0) == pytest.approx(
        0.04 * (7 / 2.75) ** -0.5, 1e-3
    )


def test_the_sweep_that_ships_can_be_trained():
    sweep = Sweep.read()
    assert len({setting.run for setting in sweep.settings}) == len(sweep.settings)
    for setting in sweep.settings:
        assert setting.n_steps >= 10
        assert setting.shape.head in (8, 16)


@pytest.mark.slow
def test_an_interrupted_sweep_resumes_without_duplicates(tmp_path, capsys):
    file, folder = tmp_path / "sweep.toml", tmp_path / "table"
    file.write_text(SWEEP, encoding="utf-8")
    command = ["--folder", str(folder), "--sweep", str(file)]
    assert program.main([*command, "train", "--hours", "0"]) == 0
    assert "5 runs are missing." in capsys.readouterr().out
    assert program.main([*command, "train", "--design", "rates"]) == 0
    first = pd.read_csv(folder / "runs.csv")
    assert sorted(first["design"]) == ["grid+rates", "rates"]
    # As if killed between writing the curve of a run and its row.
    cut = first.iloc[:1]
    cut.to_csv(folder / "runs.csv", index=False)
    assert program.main([*command, "train"]) == 0
    runs, curves = (pd.read_csv(folder / f"{name}.csv") for name in ("runs", "curves"))
    assert len(runs) == runs["run"].nunique() == 5
    assert not curves.duplicated(["run", "n_steps"]).any()
    assert set(curves["run"]) == set(runs["run"])
    last = curves.groupby("run")["loss"].last()
    assert last[runs["run"]].tolist() == runs["loss"].tolist()
    assert program.main([*command, "train"]) == 0
    assert len(pd.read_csv(folder / "runs.csv")) == 5
    capsys.readouterr()
    assert program.main([*command, "rerun", "--runs", "2"]) == 0
    assert "2 runs, largest difference 0.0e+00" in capsys.readouterr().out
    # A changed loss is detected.
    curves["loss"] += 1e-4
    curves.to_csv(folder / "curves.csv", index=False)
    assert program.main([*command, "rerun", "--runs", "1"]) == 1
    assert program.main([*command, "plan"]) == 0


def test_a_table_made_on_other_texts_is_refused(tmp_path):
    table = Table(tmp_path)
    origin = texts.corpus("prose").origin
    table.accept("prose", origin)
    table.add({"run": "a", "loss": 2.0}, [{"run": "a", "n_steps": 1, "loss": 2.0}])
    stored = json.loads((tmp_path / "corpora.json").read_text(encoding="utf-8"))
    assert stored["prose"]["digest"] == origin.digest
    stored["prose"]["digest"] = "sha256:" + 64 * "0"
    (tmp_path / "corpora.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ValueError, match=r"runs on prose were trained on sha256:0+, from python"):
        Table(tmp_path).accept("prose", origin)
    with pytest.raises(ValueError, match="a is there already"):
        Table(tmp_path).add({"run": "a", "loss": 2.0}, [])


def test_a_table_is_extended_by_one_process_at_a_time(tmp_path):
    table, late = Table(tmp_path), Table(tmp_path)
    with table.locked():
        # Each has a copy in memory, and would overwrite the runs that the other added.
        with pytest.raises(RuntimeError, match="found another process that extends it"):
            program.main(["--folder", str(tmp_path), "train", "--hours", "0"])
        table.add({"run": "a", "loss": 2.0}, [{"run": "a", "n_steps": 1, "loss": 2.0}])
    with late.locked():
        late.add({"run": "b", "loss": 2.0}, [{"run": "b", "n_steps": 1, "loss": 2.0}])
    assert Table(tmp_path).finished == {"a", "b"}


def test_a_diverged_run_is_not_stored_and_the_sweep_continues(tmp_path, capsys, monkeypatch):
    file = tmp_path / "sweep.toml"
    file.write_text(SWEEP, encoding="utf-8")

    def diverging(setting, *texts):
        if setting == TINY:
            raise ArithmeticError(f"{setting.run}: found a loss of nan at step 3.")
        return {"run": setting.run, "loss": 2.0}, [{"run": setting.run, "loss": 2.0}]

    monkeypatch.setattr(program, "train", diverging)
    command = ["--folder", str(tmp_path / "table"), "--sweep", str(file), "train"]
    assert program.main(command) == 1
    assert len(Table(tmp_path / "table").finished) == 4
    assert f"{TINY.run}: found a loss of nan" in capsys.readouterr().out


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"--design: found \['sizzes'\], expected some of \['batch'"
    ):
        program.main(["--folder", str(tmp_path), "train", "--design", "sizzes"])
    with pytest.raises(ValueError, match="found no runs, expected those of `train`"):
        program.main(["--folder", str(tmp_path), "rerun"])


def test_the_table_that_ships_is_what_the_sweep_lists():
    """Each run follows from its setting, and its loss is the end of its curve."""
    table, sweep = Table(), Sweep.read()
    listed = {setting.run: (setting, "+".join(names)) for setting, names in sweep.designs.items()}
    curves = table.curves.groupby("run")
    assert set(curves.groups) == table.finished
    assert len(table.finished) == len(table.runs) > 400
    for row in table.runs.to_dict("records"):
        setting, design = listed[row["run"]]
        assert row["design"] == design
        stated = {**row, "corpus": row["family"]}
        for field in fields(Setting):
            assert field.type(stated[field.name]) == getattr(setting, field.name)
        assert int(row["n_params"]) == setting.shape.n_params
        assert int(row["n_params_nonembedding"]) == setting.shape.n_params_nonembedding
        assert int(row["training_flop"]) == setting.training_flop
        assert int(row["n_steps"]) == setting.n_steps
        assert int(row["off_standard"]) == (not sweep.is_standard(setting))
        curve = curves.get_group(row["run"])
        assert len(curve) == len(CHECKPOINTS)
        assert curve["loss"].iloc[-1] == row["loss"] == row[f"loss_{row['family']}"]
        assert int(curve["n_tokens"].iloc[-1]) == setting.n_tokens
    assert set(table.corpora) == set(table.runs["family"])
    for origin in table.corpora.values():
        assert origin["packages"]
        assert origin["licences"]
        assert origin["digest"].startswith("sha256:")


def test_validation_sets_are_the_same_for_every_run():
    prose = texts.corpus("prose")
    groups = np.asarray(validation_set(prose))
    every = {bytes(block) for block in blocks(prose.validation)}
    assert {bytes(block) for block in groups.reshape(-1, CONTEXT + 1)} <= every
