"""Group effects whitened by the Gaussian approximation of their posterior: algebra and posterior."""

import dataclasses

import numpy as np
import pytest
from model.test_pooling import PUBLISHED, THREE, pooled

import bayescale as bs
from bayescale.backend.build import parameters_from_draws
from bayescale.backend.hierarchy import moved
from bayescale.backend.observed import Design
from bayescale.backend.whitening import Expansion, _whitened
from bayescale.inference.base import Settings
from bayescale.inference.samplers import compiled_logp

RNG = np.random.default_rng(7)


def some_expansion(effects: int, levels: int) -> Expansion:
    """Return an arbitrary Gaussian approximation of the likelihood of each level."""
    roots = RNG.standard_normal((levels, effects, effects))
    information = np.einsum("lij,lkj->ikl", roots, roots)
    return Expansion(
        best=list(RNG.standard_normal((effects, levels))),
        slope=list(RNG.standard_normal((effects, levels))),
        information=[list(row) for row in information],
    )


@pytest.mark.parametrize("effects", [1, 2, 5])
def test_an_expansion_survives_packing_in_rows(effects):
    some = some_expansion(effects, 3)
    rows = some.rows()
    assert rows.shape == (Expansion.count(effects), 3)
    back = Expansion.from_rows(rows, effects)
    np.testing.assert_array_equal(back.best, some.best)
    np.testing.assert_array_equal(back.slope, some.slope)
    np.testing.assert_array_equal(back.information, some.information)


def test_whitened_effects_follow_their_conditional_distribution():
    """Compare with matrix formulas level by level, including correlated effects."""
    effects, levels, sigma = 4, 3, 0.4
    some, around = some_expansion(effects, levels), RNG.standard_normal((effects, levels))
    mixing = np.tril(RNG.uniform(0.2, 1.0, (effects, effects)))
    mixing[2, 0] = 0.0
    listed = [[entry if entry else None for entry in row[: i + 1]] for i, row in enumerate(mixing)]

    def at(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        standard, log_volume = _whitened(listed, some, list(around), sigma, list(steps))
        return np.array(standard), log_volume

    origin, log_volume = at(np.zeros((effects, levels)))
    for level in range(levels):
        information = np.array(some.information)[..., level]
        slope = np.array(some.slope)[:, level] + information @ around[:, level]
        precision = np.eye(effects) + mixing.T @ information @ mixing / sigma**2
        mean = np.linalg.solve(precision, mixing.T @ slope / sigma**2)
        np.testing.assert_allclose(origin[:, level], mean, rtol=1e-10)
        turned = np.array(
            [at(np.outer(unit, np.ones(levels)))[0][:, level] - mean for unit in np.eye(effects)]
        ).T
        np.testing.assert_allclose(turned @ turned.T, np.linalg.inv(precision), rtol=1e-9)
        volume = -0.5 * np.linalg.slogdet(precision)[1]
        assert log_volume[level] == pytest.approx(volume, rel=1e-10)


def test_uninformative_runs_leave_effects_at_their_prior():
    none = np.zeros(2)
    nothing = Expansion(best=[none], slope=[none], information=[[none]])
    steps = np.array([0.3, -2.0])
    (standard,), log_volume = _whitened([[0.5]], nothing, [none], 0.01, [steps])
    np.testing.assert_array_equal(standard, steps)
    np.testing.assert_array_equal(log_volume, none)


def test_the_expansion_is_about_the_families_own_parameters():
    model, runs = pooled("E", "A", "B", "alpha", "beta"), bs.load_runs(THREE)
    design = Design.of(model, runs)
    seen, law = design.expansions["family"], bs.law("chinchilla")
    truth = {"a": {"E": -0.05, "A": 0.3}, "b": {}, "c": {"E": 0.08, "A": -0.2}}
    for i, (family, change) in enumerate(truth.items()):
        assert design.levels["family"].labels[i] == family
        own = {name: x * np.exp(change.get(name, 0.0)) for name, x in PUBLISHED.items()}
        centre = {name: amounts[i] for name, amounts in design.scale.centres.items()}
        there = moved(law, own, centre)
        # Parameters of the law, which runs with 0.3 % noise determine; the best loss is relative.
        found = dict(
            zip(("E", "A", "B", "alpha", "beta"), np.exp(np.array(seen.best)[:, i]), strict=True)
        )
        loss = sum(found[name] for name in ("E", "A", "B")) * design.scale.response
        assert loss == pytest.approx(sum(there[name] for name in ("E", "A", "B")), rel=0.003)
        assert found["A"] * found["alpha"] * design.scale.response == pytest.approx(
            there["A"] * there["alpha"], rel=0.05
        )
    information = np.moveaxis(np.array(seen.information)[..., :3], -1, 0)
    assert np.all(np.linalg.eigvalsh(information) > -1e-9)
    # The other levels are padding without information.
    assert not np.any(np.array(seen.information)[..., 3:])


def test_designs_with_other_responses_have_other_expansions():
    model, runs = pooled("E", "A"), bs.load_runs(THREE)
    design = Design.of(model, runs)
    again = design.observing(model, design.matrix[len(model.columns)])
    np.testing.assert_array_equal(again.matrix, design.matrix)
    higher = design.observing(model, design.matrix[len(model.columns)] + 0.1)
    assert np.all(
        np.array(higher.expansions["family"].best)[0, :3] > again.expansions["family"].best[0][:3]
    )


@pytest.mark.slow
def test_preconditioning_reduces_cost_and_keeps_the_posterior():
    model, runs = pooled("E", "A", "B", "alpha", "beta"), bs.load_runs(THREE)
    design = Design.of(model, runs)
    framed = compiled_logp(model, design.sizes)
    assert framed.framed
    settings = Settings(draws=3000, tune=400, chains=4, cores=2, seed=1, target_accept=0.95)
    found, steps = [], []
    for sampler in (framed, dataclasses.replace(framed, framed=False)):
        positions, stats = sampler.sample(design.matrix, settings)
        found.append(parameters_from_draws(model, design, positions))
        steps.append(float(stats["n_steps"].mean()))
    # Gradient evaluations per draw, for a posterior of 52 parameters.
    assert steps[0] < 40
    for name, draws in found[0].items():
        # Quantiles within a few standard errors, since some parameters have no moments.
        one, other = (np.quantile(x, (0.1, 0.5, 0.9), axis=(0, 1)) for x in (draws, found[1][name]))
        assert np.all(np.abs(one - other) < 0.15 * (other[2] - other[0]) + 1e-12), name
