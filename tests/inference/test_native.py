"""Private names of other packages: without them the same posterior is sampled, more slowly."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import bayescale as bs
from bayescale.backend.observed import Design
from bayescale.errors import SamplingError
from bayescale.inference import native, samplers
from bayescale.inference.base import Settings
from bayescale.inference.native import ChangedError, Code, check_record, inner_function
from bayescale.inference.nutpie import CompiledLogp, PythonLogp
from bayescale.inference.preconditioner import Frame


@pytest.fixture
def without_private_names(monkeypatch):
    """Return the public path: a process in which nutpie's record of a model has changed."""
    samplers._compiled_card.cache_clear()
    monkeypatch.setattr(native, "_RECORD", ("another",))
    yield
    samplers._compiled_card.cache_clear()


def test_another_record_is_found():
    check_record()


def test_another_record_is_refused(without_private_names):
    with pytest.raises(ChangedError, match="nutpie's record of a compiled model has dims"):
        check_record()


def test_other_names_of_numba_and_pytensor_are_refused():
    with pytest.raises(ChangedError, match="numba's CFunc is not as it was"):
        Code.of(SimpleNamespace(address=0))
    with pytest.raises(ChangedError, match="virtual machine of PyTensor"):
        inner_function(SimpleNamespace())


def in_another_process(code: str, **environment: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.mark.slow
def test_nutpie_is_imported_without_arviz_which_is_there_when_used():
    code = """
import sys
from bayescale.inference.native import nutpie
at = nutpie().sample.__globals__["arviz"]
print("arviz" in sys.modules, "matplotlib" in sys.modules, hasattr(at, "__path__"))
print(at.hdi.__module__.partition(".")[0])
import arviz
print(arviz.hdi is at.hdi, hasattr(arviz, "__path__"))
"""
    assert in_another_process(code).splitlines() == [
        "False False False",
        "arviz_stats",
        "True True",
    ]


@pytest.mark.slow
def test_compiling_leaves_nothing_in_the_temporary_folder(tmp_path):
    code = """
import pytensor, pytensor.tensor as pt
from bayescale.inference.samplers import _double_precision
with _double_precision():
    x = pt.vector("x")
    print(float(pytensor.function([x], pt.exp(x).sum() * 2, mode="NUMBA")([0.0, 0.0])))
print(repr(pytensor.config.generated_src_dir))
"""
    said = in_another_process(code, TMPDIR=str(tmp_path))
    assert said.splitlines() == ["4.0", "''"]
    assert list(tmp_path.iterdir()) == []


def test_a_frame_and_its_inverse():
    rng = np.random.default_rng(1)
    frame = Frame(rng.normal(size=5), rng.normal(size=(3, 3)))
    point, slope = rng.normal(size=(2, 5))
    np.testing.assert_allclose(frame.seen(frame.place(point)), point, rtol=1e-12)
    # The derivative of slope . position along each coordinate of the frame.
    ahead, behind = (
        np.array([frame.place(point + e * 1e-6) for e in s * np.eye(5)]) for s in (1, -1)
    )
    np.testing.assert_allclose(frame.slope(slope), (ahead - behind) @ slope / 2e-6, rtol=1e-8)


class Gaussian:
    """A log density with the interface of PyTensor functions: called with position and data, copied."""

    mean, precision = np.array([1.0, -2.0, 0.5]), np.diag([4.0, 1.0, 1.0])

    def copy(self) -> "Gaussian":
        return self

    def __call__(self, position, data):
        away = position - self.mean
        return -0.5 * away @ self.precision @ away, -self.precision @ away


@pytest.mark.parametrize("framed", [False, True])
def test_a_function_of_python_is_sampled(framed):
    start = {"a": 0.0, "b": 0.0, "x": np.zeros(1)}
    sampler = PythonLogp.of(tuple(start), Gaussian(), start, 2, framed)
    asked = Settings(draws=500, tune=300, chains=2, cores=2, seed=1)
    draws, statistics = sampler.sample(np.zeros((2, 3)), asked)
    assert not statistics["diverging"].any()
    for name, mean, sd in (("a", 1.0, 0.5), ("b", -2.0, 1.0), ("x", 0.5, 1.0)):
        values = draws[name].ravel()
        assert abs(values.mean() - mean) < 0.2 * sd and 0.85 < values.std() / sd < 1.15


def test_a_density_that_is_nowhere_finite_is_one_sentence():
    class Broken(Gaussian):
        def __call__(self, position, data):
            return np.nan, np.full(3, np.nan)

    start = {"a": 0.0, "b": 0.0, "x": np.zeros(1)}
    sampler = PythonLogp.of(tuple(start), Broken(), start, 2)
    asked = Settings(draws=10, tune=10, chains=1, cores=1, seed=1)
    with pytest.raises(SamplingError, match="The sampler stopped"):
        sampler.sample(np.zeros((2, 3)), asked)


@pytest.mark.slow
def test_the_public_path_samples_the_same_posterior(
    without_private_names, monkeypatch, caplog, fit, chinchilla_runs
):
    found = bs.fit(chinchilla_runs, "chinchilla", seed=2, draws=300, progress=False)
    assert "by public names alone" in caplog.text and found.diagnostics.ok
    for name in ("alpha", "beta", "E"):
        both = [each.posterior[name] for each in (fit, found)]
        error = max(float(x.std()) for x in both) / np.sqrt(400)
        assert abs(float(both[0].mean() - both[1].mean())) < 5 * error, name
    model, data = found.model, Design.of(found.model, found.runs).matrix
    public = samplers.compiled_logp(model)
    assert isinstance(public, PythonLogp)
    monkeypatch.undo()
    samplers._compiled_card.cache_clear()
    private = samplers.compiled_logp(model)
    assert isinstance(private, CompiledLogp) and private.shapes == public.shapes
    rng = np.random.default_rng(2)
    for position in private.start + rng.uniform(-1, 1, (5, len(private.start))):
        (one, slope), (other, its_slope) = (
            s.log_density(position, data) for s in (private, public)
        )
        assert one == pytest.approx(other, rel=1e-12)
        np.testing.assert_allclose(slope, its_slope, rtol=1e-9)
