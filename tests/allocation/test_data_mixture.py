"""The mixture of data with the lowest weighted loss on validation texts."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from contract.fits import few_draws, fit_of_card
from json_outputs import check_json
from scipy.optimize import minimize

import bayescale as bs
from bayescale.allocation.simplex import least_mixture, mixture_loss
from bayescale.cli.main import main
from bayescale.data.reading import ColumnRead, Reading
from bayescale.errors import (
    AmountError,
    BayescaleWarning,
    CardError,
    RunsError,
    UnsuitableLawError,
)
from bayescale.model.identifiability import design_warnings


def constants(name: str, **parameters: float) -> bs.Constants:
    law = f"data-mixing-{len(parameters) - 1}"
    return bs.Constants(name=name, law=law, parameters=parameters, source="made for tests")


WEB = constants("web", c=2.0, b_1=0.5, b_2=1.5)
CODE = constants("code", c=0.8, b_1=1.2, b_2=0.3)


def test_two_domains_and_two_texts_have_the_optimum_of_calculus():
    found = bs.data_mixture({"web": WEB, "code": CODE}, weights={"web": 3.0, "code": 1.0})
    # d/dr of 3 (0.5^(1-r) 1.5^r) + 1.2^(1-r) 0.3^r is zero at r.
    r = np.log(np.log(4.0) * 1.2 / (3.0 * np.log(3.0) * 0.5)) / np.log(12.0)
    assert found.recommended["domain_2"] == pytest.approx(r, abs=1e-6)
    assert found.expected_regret == pytest.approx(0.0, abs=1e-9)
    assert float(found.regret_equal.item()) > 0.01


def test_one_text_has_its_optimum_at_a_corner_or_at_the_limit():
    found = bs.data_mixture(WEB)
    assert found.recommended.to_numpy() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert "corner" in found.caveats[1]
    found = bs.data_mixture(WEB, most={"domain_1": 0.6})
    assert found.recommended.to_numpy() == pytest.approx([0.6, 0.4], abs=1e-6)
    assert "largest that is allowed" in found.caveats[-1]


@pytest.mark.parametrize("domains", [2, 3, 4, 5])
def test_no_mixture_of_a_grid_is_better(domains):
    rng = np.random.default_rng(domains)
    logs = rng.normal(0.0, 1.0, (40, 4, domains))
    weights = rng.dirichlet(np.ones(4), 40)
    most = np.minimum(1.0, rng.uniform(0.3, 1.2, domains) + 0.2)
    best = least_mixture(weights, logs, most)
    assert best.sum(axis=1) == pytest.approx(1.0)
    assert np.all((best >= 0.0) & (best <= most))
    least = mixture_loss(weights, logs, best)
    steps = np.array(list(product(np.linspace(0.0, 1.0, 11), repeat=domains - 1)))
    grid = np.column_stack([steps, 1.0 - steps.sum(axis=1)])
    for at in grid[np.all((grid >= 0.0) & (grid <= most), axis=1)]:
        assert np.all(mixture_loss(weights, logs, at) >= least - 1e-6)


def test_the_recommended_mixture_has_the_least_expected_loss():
    fit = few_draws(fit_of_card("data-mixing-3"), 50)
    found = bs.data_mixture({"one": fit, "other": CODE_OF_THREE}, domains=["web", "code", "books"])
    assert found.recommended.sum() == pytest.approx(1.0)
    average = bs.model_average({"a": fit, "b": fit}, {"a": 1.0, "b": 1.0})
    of_average = bs.data_mixture({"one": average, "other": CODE_OF_THREE})
    assert of_average.recommended.to_numpy() == pytest.approx(found.recommended, abs=0.05)
    assert 0.0 <= found.expected_regret <= float(found.regret_equal.mean())
    assert float(found.regret.min()) > -1e-9
    with pytest.warns(BayescaleWarning, match="one: Effective samples"):
        table, narrow = found.table(), found.table(prob=0.5)
    assert list(table.index) == ["web", "code", "books"]
    code = table.loc["code"]
    assert code["share_lower"] < narrow.loc["code", "share_lower"] < code["share"]
    assert code["share"] < narrow.loc["code", "share_upper"] < code["share_upper"]


CODE_OF_THREE = constants("code", c=0.8, b_1=1.2, b_2=0.15, b_3=0.9)


def test_invalid_mixtures_are_refused():
    with pytest.raises(UnsuitableLawError, match="not one of mixtures"):
        bs.data_mixture(bs.published("besiroglu2024"))
    with pytest.raises(UnsuitableLawError, match="web of 2, code of 3"):
        bs.data_mixture({"web": WEB, "code": CODE_OF_THREE})
    with pytest.raises(CardError, match="found none"):
        bs.data_mixture({})
    with pytest.raises(CardError, match="2 different names"):
        bs.data_mixture(WEB, domains=["a", "a"])
    with pytest.raises(CardError, match="'cod', expected one of web, code"):
        bs.data_mixture({"web": WEB, "code": CODE}, weights={"web": 1.0, "cod": 1.0})
    with pytest.raises(CardError, match="none for code"):
        bs.data_mixture({"web": WEB, "code": CODE}, weights={"web": 1.0})
    with pytest.raises(CardError, match="zero in all"):
        bs.data_mixture(WEB, weights={"the validation text": 0.0})
    with pytest.raises(CardError, match="0.8 in all"):
        bs.data_mixture(WEB, most={"domain_1": 0.5, "domain_2": 0.3})
    with pytest.raises(CardError, match="at most 1"):
        bs.data_mixture(WEB, most={"domain_1": 50})
    all_of_it = dict(zip(("domain_1", "domain_2", "domain_3"), (0.7, 0.2, 0.1), strict=True))
    only = bs.data_mixture(CODE_OF_THREE, most=all_of_it)
    assert only.recommended.to_numpy() == pytest.approx([0.7, 0.2, 0.1])
    assert only.regret_equal.item() == pytest.approx(0.0, abs=1e-12)
    assert "equal" not in only.sentences[0]
    limited = bs.data_mixture(CODE_OF_THREE, most={"domain_2": 0.2})
    assert limited.regret_equal.item() >= 0.0
    assert "as equal as is allowed" in limited.sentences[0]
    with pytest.raises(CardError, match="a number from 0"):
        bs.data_mixture(WEB, most={"domain_1": float("nan")})


def test_weights_may_be_shares_per_cent_or_tokens_and_zero():
    shares = pd.DataFrame({"web": [1.0, 0.5, 0.0], "code": [0.0, 0.5, 1.0], "loss": [3.0, 2.8, 3]})
    law, columns = bs.law("data-mixing-2"), {"domain_1": "web", "domain_2": "code"}
    by_unit = []
    for factor in (1.0, 100.0, 1e10):
        scaled = shares.assign(web=factor * shares["web"], code=factor * shares["code"])
        runs = bs.load_runs(scaled, needs=law.inputs, columns=columns)
        at = {name: runs.column(name) for name in law.inputs}
        by_unit.append(law.evaluate(**at, c=2.0, b_1=0.5, b_2=1.5))
    assert by_unit[0] == pytest.approx([2.5, 2.0 + np.sqrt(0.75), 3.5])
    assert by_unit[1] == pytest.approx(by_unit[0])
    assert by_unit[2] == pytest.approx(by_unit[0])
    nothing = shares.assign(web=0.0, code=[0.0, 1.0, 1.0])
    with pytest.raises(RunsError, match="zero for every domain"):
        bs.load_runs(nothing, needs=law.inputs, columns=columns)
    with pytest.raises(RunsError, match=r"-0\.1"):
        bs.load_runs(shares.assign(web=-0.1), needs=law.inputs, columns=columns)
    cells = shares.assign(web=["100%", "50 %", "0%"], code=["0%", "50 %", "100%"])
    runs = bs.load_runs(cells, needs=law.inputs, columns=columns)
    assert runs.column("domain_1") == pytest.approx([1.0, 0.5, 0.0], abs=1e-9)
    assert "domain_1 0 to 1.00" in runs.describe()
    billions = bs.load_runs(shares, needs=law.inputs, columns=columns, units={"domain_1": "B"})
    assert billions.column("domain_1") == pytest.approx([1e9, 5e8, 0.0], abs=1e-9)


def test_designs_that_do_not_vary_mixtures_are_warned_of():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), 15)
    loss = 2.0 + np.exp(shares @ np.log([0.5, 1.0, 0.7]))
    model = bs.load_model("data-mixing-3")

    def said(weights):
        runs = pd.DataFrame(weights, columns=["domain_1", "domain_2", "domain_3"]).assign(loss=loss)
        return design_warnings(model, bs.load_runs(runs, needs=model.law.inputs))

    assert not said(shares)
    assert not said(np.column_stack([shares[:, 0], np.ones(15), shares[:, 2]]))  # shares do vary
    (constant,) = said(0.8 * shares / shares[:, :2].sum(1)[:, None] * [1, 1, 0] + [0, 0, 0.2])
    assert "Every run has 20% of domain_3" in constant
    (together,) = said(np.column_stack([shares[:, 0], *(np.outer([0.6, 0.4], shares[:, 1]))]))
    assert "change together" in together
    of_one, *_ = said(np.outer(rng.uniform(1.0, 9.0, 15), [0.2, 0.3, 0.5]))
    assert "15 runs of 1 settings" in of_one


def test_a_mixture_in_other_units_is_no_extrapolation():
    fit = few_draws(fit_of_card("data-mixing-3"), 20)
    at = {"domain_1": [1.0, 100.0, 1.0], "domain_2": [1.0, 100.0, 1e-9], "domain_3": [1, 100, 1e-9]}
    near, same, corner = bs.predict(fit, inputs=at)["beyond"].to_numpy()
    assert near == same == 0.0
    assert 0.0 < corner < 1.0
    none = bs.predict(fit, inputs={"domain_1": "60%", "domain_2": 0.4, "domain_3": 0})
    assert none["domain_3"].item() == 0.0 and none["beyond"].item() < 1.0
    tiny = bs.predict(fit, inputs={"domain_1": 3, "domain_2": 2, "domain_3": 1e-9})
    assert none["loss"].to_numpy() == pytest.approx(tiny["loss"].to_numpy())
    with pytest.raises(AmountError, match="zero for every domain"):
        bs.predict(fit, inputs=dict.fromkeys(("domain_1", "domain_2", "domain_3"), 0))
    with pytest.raises(AmountError, match=r"'-1', expected a weight from 0"):
        bs.predict(fit, inputs={"domain_1": "-1", "domain_2": 1, "domain_3": 1})


def test_the_mixture_of_a_posterior_is_that_of_a_minimiser():
    fit = few_draws(fit_of_card("data-mixing-3"), 40)
    found = bs.data_mixture({"one": fit, "other": CODE_OF_THREE}, weights={"one": 1, "other": 2})
    p = fit.posterior
    logs = np.log(np.stack([p[f"b_{j}"].to_numpy().ravel() for j in (1, 2, 3)], axis=1))
    other = np.log([1.2, 0.15, 0.9])

    def loss(shares):
        return (np.exp(logs @ shares) + 2.0 * np.exp(other @ shares)) / 3.0

    def least(of):
        return minimize(
            of,
            np.full(3, 1 / 3),
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda r: r.sum() - 1.0},
            options={"ftol": 1e-12},
        )

    best = least(lambda r: loss(r).mean())
    assert loss(found.recommended.to_numpy()).mean() == pytest.approx(best.fun, abs=1e-7)
    own = np.array([least(lambda r, i=i: loss(r)[i]).fun for i in range(len(logs))])
    assert found.expected_regret == pytest.approx(best.fun - own.mean(), abs=1e-6)
    equal = loss(np.full(3, 1 / 3))
    assert float(found.regret_equal.mean()) == pytest.approx(equal.mean() - own.mean(), abs=1e-6)
    assert found.p_better == pytest.approx((loss(best.x) < equal).mean(), abs=0.03)


def read_as(fit: bs.Fit, *columns: str) -> bs.Fit:
    """Return a fit whose domains were read from other columns."""
    names = [f"domain_{j}" for j in range(1, len(columns) + 1)]
    read = (ColumnRead(*each, "", "default", "") for each in zip(names, columns, strict=True))
    return replace(fit, runs=replace(fit.runs, reading=Reading(tuple(read), len(fit.runs))))


def test_domains_of_fits_are_matched_by_their_columns():
    fit = few_draws(fit_of_card("data-mixing-3"), 40)
    web, code = read_as(fit, "web", "code", "books"), read_as(fit, "books", "web", "code")
    swapped = bs.data_mixture({"one": web, "other": code}, weights={"one": 1, "other": 4})
    assert list(swapped.recommended.index) == ["web", "code", "books"]
    p = fit.posterior
    logs = np.log(np.stack([p[f"b_{j}"].to_numpy().ravel() for j in (1, 2, 3)], axis=1))

    def loss(r):  # The first input of the second fit is books.
        return (np.exp(logs @ r) + 4.0 * np.exp(logs[:, [1, 2, 0]] @ r)).mean(axis=0)

    mixtures = np.random.default_rng(0).dirichlet(np.full(3, 0.5), 500).T
    assert loss(swapped.recommended.to_numpy()) <= loss(mixtures).min() + 1e-9
    assert swapped.recommended.idxmax() != bs.data_mixture(web).recommended.idxmax()
    named = bs.data_mixture({"c": CODE_OF_THREE, "o": code}, domains=["a", "b", "c"])
    assert list(named.recommended.index) == ["a", "b", "c"]
    with pytest.raises(UnsuitableLawError, match="'web' as domain 1 of one and as domain 2"):
        bs.data_mixture({"one": web, "other": read_as(fit, "novels", "web", "code")})
    bits = replace(fit, runs=replace(fit.runs, units={**fit.runs.units, "loss": "bits/byte"}))
    with pytest.raises(UnsuitableLawError, match="one in nats/token, other in bits/byte"):
        bs.data_mixture({"one": fit, "other": bits})
    assert "bits/byte" in bs.data_mixture(bits).sentences[0]


def test_a_share_beyond_the_runs_is_cautioned_of():
    fit = few_draws(fit_of_card("data-mixing-3"), 40)
    table = fit.runs.table.assign(domain_1=1.0, domain_2=1.0, domain_3=1.0)
    narrow = replace(fit, runs=replace(fit.runs, _table=table))
    assert "runs 33 % to 33 %" in " ".join(bs.data_mixture(narrow).caveats)


def test_the_command_prints_the_mixture(tmp_path, capsys):
    fit = few_draws(fit_of_card("data-mixing-3"), 50)
    web, code = (str(tmp_path / f"{name}.nc") for name in ("web", "code"))
    fit.save(web)
    fit.save(code)
    named = [word for name in ("pages", "programs", "books") for word in ("--domain", name)]
    asked = ["mixture", web, code, *named, "--weight", "web=2", "--weight", "code=1", "--quiet"]
    assert main([*asked, "--most", "pages=60%"]) == 0
    out = capsys.readouterr().out
    assert "web (67 %), code (33 %)" in out and "The share of pages is at the largest" in out
    assert main([*asked, "--json"]) == 0
    out = capsys.readouterr().out
    check_json("mixture", out)
    assert [row["domain"] for row in json.loads(out)["mixture"]] == ["pages", "programs", "books"]
    for wrong, said in (
        (["--weight", "books=x"], "found 'x' for books, expected a number"),
        (["--most", "pages"], "expected DOMAIN=SHARE"),
    ):
        assert main([*asked, *wrong]) == 2
        assert said in capsys.readouterr().err
    assert main(["mixture", web, web]) == 2
    assert "different names" in capsys.readouterr().err
