"""Schedules: their sums against direct summation, their shapes, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescale.errors import BayescaleError, RunsError
from bayescale.schedules.nodes import NODES, Nodes
from bayescale.schedules.parse import as_schedule
from bayescale.schedules.schedule import Schedule

WARM = {"peak": 3e-4, "warmup": 40}
SCHEDULES = {
    "constant": Schedule.constant(steps=300, **WARM),
    "cosine": Schedule.cosine(steps=300, final=3e-5, **WARM),
    "linear": Schedule.linear(steps=300, **WARM),
    "two stages": Schedule.two_stage(steps=300, second=1e-4, change=150, **WARM),
    "table": Schedule.table([1, 50, 120, 200, 300], [1e-4, 3e-4, 1e-4, 2e-4, 0.0]),
    **{
        f"wsd, {decay}": Schedule.wsd(steps=300, decay_from=250, final=3e-5, decay=decay, **WARM)
        for decay in ("linear", "exponential", "sqrt")
    },
}
CONSTANTS = {"C": 2.0, "beta": 0.6, "gamma": 0.64}


def rate(schedule: Schedule, step: int) -> float:
    """Return the rate of a step, zero before the first."""
    return float(schedule.rates[step - 1]) if step else 0.0


def counted(schedule: Schedule, warmup: bool) -> range:
    return range(1 if warmup else schedule.warmup + 1, schedule.steps + 1)


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("name", SCHEDULES)
def test_sums_are_those_over_every_step(name, warmup):
    schedule = SCHEDULES[name]
    for step in (1, 60, 151, 260, 300):
        until = range(1, step + 1)
        assert schedule.area(step) == pytest.approx(sum(rate(schedule, i) for i in until))
        momentum = area = drop = 0.0
        for k in until:
            fall = rate(schedule, k - 1) - rate(schedule, k)
            fall = fall if k in counted(schedule, warmup) else 0.0
            momentum = 0.99 * momentum + fall
            area += momentum
            since = sum(rate(schedule, i) for i in range(k, step + 1))
            x = 2.0 * max(rate(schedule, k), 1e-300) ** -0.64 * since
            drop += fall * (1.0 - (1.0 + x) ** -0.6)
        assert schedule.annealing_area(step, 0.99, warmup=warmup) == pytest.approx(area)
        assert schedule.loss_drop(step, warmup=warmup, **CONSTANTS) == pytest.approx(drop)


@pytest.mark.parametrize("name", sorted({*SCHEDULES} - {"table"}))
def test_shapes_begin_at_the_peak_and_end_at_the_final_rate(name):
    schedule = SCHEDULES[name]
    assert schedule.warmup == 40
    assert schedule.rates[:40] == pytest.approx(3e-4 * np.arange(1, 41) / 40)
    assert schedule.rates[39] == schedule.peak == pytest.approx(3e-4)
    final = {"constant": 3e-4, "linear": 0.0, "two stages": 1e-4}.get(name, 3e-5)
    assert schedule.rates[-1] == pytest.approx(final, abs=1e-12)
    assert (np.diff(schedule.rates[39:]) <= 1e-18).all()


def test_a_table_is_interpolated_and_constant_before_its_first_step():
    schedule = Schedule.table([100, 200], [2e-4, 1e-4])
    assert schedule.steps == 200
    assert schedule.rates[[0, 99, 149, 199]] == pytest.approx([2e-4, 2e-4, 1.5e-4, 1e-4])
    assert schedule.warmup == 1


def test_the_warmup_ends_at_the_first_peak():
    again = Schedule(np.array([1.0, 2.0, 2.0, 1.0, 3.0]))
    assert again.warmup == 2
    assert again.drops.tolist() == [0.0, 0.0, 0.0, 1.0, -2.0]
    assert Schedule(np.array([1.0, 2.0, 3.0])).warmup == 3


@settings(max_examples=30)
@given(st.lists(st.floats(1e-5, 1e-3), min_size=2, max_size=60), st.integers(1, 60), st.data())
def test_drops_never_seen_do_not_count(rates, step, data):
    step = min(step, len(rates))
    later = data.draw(st.lists(st.floats(1e-5, 1e-3), max_size=5))
    one, other = (Schedule(np.array(r)) for r in (rates[:step], [*rates[:step], *later]))
    if other.warmup != one.warmup:  # A longer warm-up may follow.
        return
    assert one.area(step) == other.area(step)
    assert one.loss_drop(step, **CONSTANTS) == other.loss_drop(step, **CONSTANTS)


@pytest.mark.parametrize("name", SCHEDULES)
def test_few_nodes_give_the_sums_of_all_drops(name):
    schedule = SCHEDULES[name]
    steps = np.array([60.0, 151.0, 260.0, 300.0])
    nodes = Nodes.of(schedule, steps)
    assert nodes.drop.shape == (NODES, 4)
    assert nodes.drop.sum(axis=0) == pytest.approx(
        np.cumsum(schedule.drops)[steps.astype(int) - 1], abs=1e-15
    )
    x = 2.0 * np.exp(-0.64 * nodes.log_rate) * nodes.since
    found = (nodes.drop * (1.0 - (1.0 + x) ** -0.6)).sum(axis=0)
    assert found == pytest.approx(schedule.loss_drop(steps, **CONSTANTS), abs=0.01 * schedule.peak)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("cosine:peak=3e-4,steps=300,final=3e-5,warmup=40", "cosine"),
        ("two-stage:peak=3e-4,steps=0.3k,second=1e-4,change=150,warmup=40", "two stages"),
        (
            "wsd:peak=3e-4,steps=300,decay_from=250,final=3e-5,warmup=40,decay=exponential",
            "wsd, exponential",
        ),
    ],
)
def test_text_gives_the_schedule_that_it_names(text, same):
    assert as_schedule(text).rates.tolist() == SCHEDULES[same].rates.tolist()


def test_a_file_of_rates_is_a_schedule(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text("step,lr\n1,1e-4\n100,3e-4\n")
    assert as_schedule(str(path)).rates[[0, 99]] == pytest.approx([1e-4, 3e-4])
    assert as_schedule(path).steps == 100
    path.write_text("step,lr\n1,1e-4\n100,warm\n")
    with pytest.raises(RunsError, match="line 3, column lr: found 'warm', expected a number"):
        as_schedule(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Schedule(np.array([1.0, np.nan])), "rate nan at step 2"),
        (lambda: Schedule(np.array([0.0, 0.0])), "some above it"),
        (lambda: Schedule(np.ones((2, 2))), "shape"),
        (lambda: Schedule.cosine(3e-4, 100, warmup=100), "the change before the last step"),
        (lambda: Schedule.cosine(3e-4, 100.5), "integer"),
        (lambda: Schedule.linear(-1.0, 100), "positive"),
        (lambda: Schedule.cosine(3e-4, 100, final=3e-3), "last rate of 0.003, above the peak"),
        (lambda: Schedule.wsd(3e-4, 100, decay_from=50, decay="cosine"), "'cosine'"),
        (lambda: Schedule.wsd(3e-4, 100, decay_from=50, decay="exponential"), "never reaches zero"),
        (lambda: Schedule.table([1, 2], [1e-4]), "2 steps and 1 rates"),
        (lambda: Schedule.table([2, 1], [1e-4, 1e-4]), "increasing order"),
        (lambda: SCHEDULES["cosine"].area(301), "found 301"),
        (lambda: SCHEDULES["cosine"].area(1.5), "found 1.5"),
        (lambda: as_schedule("cosin:peak=1"), "Did you mean"),
        (lambda: as_schedule("cosine:peak=1"), "steps"),
        (lambda: as_schedule("cosine:peak=high,steps=10"), "'high'"),
        (lambda: as_schedule("cosine:peak=1,steps=10,end=1"), "'end'"),
        (lambda: as_schedule("cosine:peak"), "'peak'"),
    ],
)
def test_refusals_say_what_was_found(make, said):
    with pytest.raises(Exception, match=said) as raised:
        make()
    assert isinstance(raised.value, BayescaleError)
