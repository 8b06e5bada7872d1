"""Measured throughput, recorded costs, overheads, precision and deadlines."""

from datetime import date

import numpy as np
import pytest

import bayescale as bs
from bayescale.costs import Cluster, CostLaw, MeasuredThroughput, Money, fit_cost_law, six_nd
from bayescale.errors import AmountError

close = pytest.approx
GOOD = {"n_gpus": 512, "peak": "H100-SXM", "utilisation": 0.4, "price": "$2"}
CLUSTER = Cluster(**GOOD)
MEASURED = {"n_params": ["100M", "1B", "7B"], "tokens_per_second": ["2M", "400K", "72K"]}
RATES = MeasuredThroughput(**MEASURED, n_gpus=8, cluster=CLUSTER)


@pytest.mark.parametrize("change", [{}, {"utilisation": 0.1}, {"speed": 1.5}, {"peak": 1e14}])
def test_time_of_measured_throughput_is_the_measured_one(change):
    cluster = Cluster(**{**GOOD, **change})
    cost = MeasuredThroughput(**MEASURED, n_gpus=8, cluster=cluster)
    days = 1e12 / (72e3 / 8 * 512) / 86400
    assert cluster.days(cost(7e9, 1e12)) == close(days)
    assert Money(cluster=cluster, train=cost)(7e9, 1e12) == close(2 * days * 24 * 512)
    assert cost.tokens_for(cost(7e9, 1e12), 7e9) == close(1e12)


def test_throughput_between_and_beyond_sizes():
    middle = float(RATES.tokens_per_second_at(np.sqrt(1e9 * 7e9)))
    assert middle == close(np.sqrt(400e3 * 72e3) / 8)
    # Beyond, the FLOP per second are those of the nearest size.
    for size, nearest in ((1e11, 7e9), (1e7, 1e8)):
        there, here = (float(RATES.tokens_per_second_at(n)) * n for n in (size, nearest))
        assert there == close(here)
    sizes = np.geomspace(1e6, 1e12, 50)
    assert (np.diff(RATES(sizes, 1e9)) > 0).all()


def test_repeated_measurements_are_averaged():
    twice = MeasuredThroughput(
        n_params=[1e9, 1e9, 7e9], tokens_per_second=[81e3, 90e3, 9e3], cluster=CLUSTER
    )
    assert float(twice.tokens_per_second_at(1e9)) == close(27e3 * np.sqrt(10))
    table = {"n_params": [1e9], "tokens_per_second": [8e3], "n_gpus": [4]}
    assert MeasuredThroughput.of_table(table, CLUSTER).tokens_per_second_at(1e9) == close(2e3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_params": [1e9, 2e9], "tokens_per_second": [1e3]}, "found 2 sizes, 1 rates"),
        ({"n_params": [1e9, 2e9], "tokens_per_second": [1e3, 2e3]}, "not slower than 1.00B"),
        ({"n_params": ["big"], "tokens_per_second": [1e3]}, "throughput, n_params: found 'big'"),
        ({"n_params": [1e9], "tokens_per_second": [0]}, "tokens_per_second: found 0"),
        (
            {"n_params": [1e9, 1e9, 7e9], "tokens_per_second": [40e3, 90e3, 9e3]},
            "found 4e\\+04 and 9e\\+04 tokens per second and GPU for 1.00B parameters",
        ),
    ],
)
def test_bad_throughputs_are_refused(given, words):
    with pytest.raises(AmountError, match=words):
        MeasuredThroughput(**given, cluster=CLUSTER)


def test_a_table_without_throughput_is_refused():
    with pytest.raises(AmountError, match="found columns n_params, mfu; expected n_params, tokens"):
        MeasuredThroughput.of_table({"n_params": [1e9], "mfu": [0.4]}, CLUSTER)


def test_plans_by_throughput_take_the_time_that_there_is():
    """A lower utilisation of small models moves the optimum to larger ones."""
    law = bs.published("besiroglu2024")
    budget = CLUSTER.compute(days=10)
    measured = bs.allocate(law, budget=budget, cost=RATES, cluster=CLUSTER)
    flat = bs.allocate(law, budget=budget, cost=six_nd, cluster=CLUSTER)
    assert float(measured.table()["days"].iloc[0]) == close(10.0)
    assert measured.recommended["n_params"].iloc[0] != close(flat.recommended["n_params"].iloc[0])
    best = measured.recommended.iloc[0]

    losses = [
        float(law_loss(n, RATES.tokens_for(budget, n)))
        for n in best["n_params"] * np.array([0.9, 1.0, 1.1])
    ]
    assert losses[1] < min(losses[0], losses[2])


def law_loss(n_params, n_tokens):
    constants = bs.published("besiroglu2024").parameters
    return bs.law("chinchilla").evaluate(n_params=n_params, n_tokens=n_tokens, **constants)


def test_overheads_and_speed_change_time_and_money():
    slow = Cluster(**GOOD, overhead="8 %")
    between = Cluster(**GOOD, overhead=("5 %", 0.12), speed=1.25)
    flop = 1e24
    assert slow.days(flop) == close(1.08 * CLUSTER.days(flop))
    assert slow.money(flop) == close(1.08 * CLUSTER.money(flop))
    assert between.days(flop) == close(1.085 / 1.25 * CLUSTER.days(flop))
    ends = [x / CLUSTER.days(flop) * 1.25 for x in between.days_between(flop)]
    assert ends == close([1.05, 1.12])
    assert between.compute(days=between.days(flop)) == close(flop)
    assert str(slow) == "512 GPUs at 40 % and 8 % overhead"
    assert str(between) == "512 GPUs at 40 % times 1.25 and 5 to 12 % overhead"
    assert slow.duration(flop) == "62 days"
    assert between.duration(flop) == "50 days (from 48 days to 51 days)"


@pytest.mark.parametrize("wrong", [-0.1, "fast", "12-5 %", (0.1,) * 3, "1200 %", None, "nan", 8])
def test_bad_overheads_are_refused(wrong):
    with pytest.raises(AmountError, match="overhead: found"):
        Cluster(**GOOD, overhead=wrong)


@pytest.mark.parametrize("wrong", [0, -1, "fast", float("inf"), float("nan")])
def test_bad_speeds_are_refused(wrong):
    with pytest.raises(AmountError, match="speed: found"):
        Cluster(**GOOD, speed=wrong)


def test_a_deadline_is_a_limit_on_days():
    cluster = Cluster(**GOOD, overhead=("5 %", "12 %"))
    limits = bs.Limits(deadline="2027-03-01", start=date(2027, 1, 1), cluster=cluster)
    assert limits.max_days == 59.0 and limits
    # The deadline holds at the upper end of the overhead.
    assert cluster.days_between(limits.most_compute)[1] == close(59.0)
    assert str(limits).startswith("by 2027-03-01, at most 59 days on 512 GPUs")
    sooner = bs.Limits(deadline="2027-03-01", start="2027-01-01", max_days=7, cluster=cluster)
    assert sooner.max_days == 7.0
    plan = bs.allocate(bs.published("besiroglu2024"), budget=1e26, limits=limits)
    spent = six_nd(plan.recommended["n_params"], plan.recommended["n_tokens"])
    assert float(spent.iloc[0]) == close(limits.most_compute, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"deadline": "2027-03-01"}, "deadline: found no start"),
        ({"start": "2027-03-01"}, "start: found no deadline"),
        ({"deadline": "soon", "start": "2027-01-01"}, "deadline: found 'soon', expected a date"),
        ({"deadline": "2027-01-01", "start": "2027-01-01"}, "expected a date after the start"),
    ],
)
def test_bad_deadlines_are_refused(given, words):
    with pytest.raises(AmountError, match=words):
        bs.Limits(**given, cluster=CLUSTER)


def test_a_deadline_needs_a_cluster():
    with pytest.raises(AmountError, match="max_days: found no cluster"):
        bs.Limits(deadline="2027-03-01", start="2027-01-01")


def recorded(rng, form, n_runs=12, scatter=0.05):
    """Return noisy costs of runs, 6 N D or 6 (N + 3e8) D, and the true cost."""
    extra = 3e8 if form == "additive" else 0.0
    size = np.exp(rng.uniform(np.log(1e8), np.log(1e10), n_runs))
    tokens = 20.0 * size * np.exp(rng.standard_normal(n_runs))
    noise = np.exp(scatter * rng.standard_normal(n_runs))
    table = {"n_params": size, "n_tokens": tokens, "compute": 6 * (size + extra) * tokens * noise}
    return table, lambda n, d: 6 * (n + extra) * d


@pytest.mark.parametrize("form", ["power", "additive"])
def test_intervals_of_a_cost_law_hold_the_cost_of_a_larger_run(form):
    rng, held, count = np.random.default_rng(1), 0, 200
    for seed in range(count):
        table, true = recorded(rng, form)
        found = fit_cost_law(table, form=form, draws=100, seed=seed)
        row = found.interval("70B", "1.4T", seed=seed).iloc[0]
        cost = true(7e10, 1.4e12) * np.exp(0.05 * rng.standard_normal())
        held += row["compute_lower"] < cost < row["compute_upper"]
    assert held / count == close(0.9, abs=4 * np.sqrt(0.09 / count))


@pytest.mark.parametrize("form", ["power", "additive"])
def test_a_cost_law_is_a_cost(form):
    table, true = recorded(np.random.default_rng(2), form, n_runs=60, scatter=0.01)
    cost = fit_cost_law(table, form=form)
    assert isinstance(cost, CostLaw) and cost.unit == "FLOP" and cost.training is cost
    size, tokens = np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e12, 5)[:, None]
    assert cost(size, tokens) == close(true(size, tokens), rel=0.05)
    assert cost.tokens_for(cost(size, tokens), size) == close(np.broadcast_to(tokens, (5, 6)))
    budget = float(true(1e9, 1e11))
    sizes = [
        float(
            bs.allocate(bs.published("besiroglu2024"), budget=budget, cost=one)
            .recommended["n_params"]
            .iloc[0]
        )
        for one in (cost, cost.draw(0), cost.draw(1))
    ]
    assert len(set(sizes)) == 3 and np.ptp(np.log(sizes)) < 0.2


def test_recorded_hours_are_those_of_a_cluster():
    table, _ = recorded(np.random.default_rng(3), "power")
    hours = {**table, "gpu_hours": CLUSTER.gpu_hours(table["compute"])}
    del hours["compute"]
    one, other = fit_cost_law(hours, cluster=CLUSTER, seed=1), fit_cost_law(table, seed=1)
    assert one(1e9, 1e11) == close(other(1e9, 1e11))
    with pytest.raises(AmountError, match="gpu_hours without a cluster"):
        fit_cost_law(hours)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_params": [1e9] * 4}, "found one number of size"),
        ({"n_tokens": [1e9] * 4}, "found one number of tokens"),
        ({"compute": [1e18] * 3}, "found 4 sizes, 4 of tokens and 3 costs"),
        ({"compute": ["dear"] * 4}, "costs, compute: found 'dear'"),
        ({"gpu_hours": [1] * 4}, "expected n_params, n_tokens and one of"),
    ],
)
def test_bad_costs_are_refused(change, words):
    good = {
        "n_params": [1e8, 1e9, 1e8, 1e9],
        "n_tokens": [1e9, 1e9, 1e10, 1e10],
        "compute": [6e17, 6e18, 6e18, 6e19],
    }
    with pytest.raises(AmountError, match=words):
        fit_cost_law({**good, **change})


def test_few_runs_and_unknown_forms_are_refused():
    few = {"n_params": [1e8, 1e9], "n_tokens": [1e9, 1e10], "compute": [6e17, 6e19]}
    with pytest.raises(AmountError, match="found 2 runs, expected at least 4"):
        fit_cost_law(few)
    with pytest.raises(ValueError, match="form: found 'cubic'"):
        fit_cost_law(few, form="cubic")
