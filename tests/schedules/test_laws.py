"""Laws of schedules: published curves, their coordinates, and cards with reasons."""

import numpy as np
import pandas as pd
import pytest

from bayescale.errors import CardError
from bayescale.schedules.laws import LAWS, MEANINGS, PUBLISHED
from bayescale.schedules.schedule import Schedule

PEAK, WARMUP = 3e-4, 2160
PUBLIC = {
    "constant_24000": Schedule.constant(PEAK, 24_000, warmup=WARMUP),
    "constant_72000": Schedule.constant(PEAK, 72_000, warmup=WARMUP),
    "cosine_24000": Schedule.cosine(PEAK, 24_000, final=3e-5, warmup=WARMUP),
    "cosine_72000": Schedule.cosine(PEAK, 72_000, final=3e-5, warmup=WARMUP),
    "wsd_20000_24000": Schedule.wsd(
        PEAK, 24_000, decay_from=20_000, final=3e-5, warmup=WARMUP, decay="exponential"
    ),
    "wsdld_20000_24000": Schedule.wsd(PEAK, 24_000, decay_from=20_000, final=3e-5, warmup=WARMUP),
    **{
        f"wsdcon_{i}": Schedule.two_stage(
            PEAK, 16_000, second=i * 1e-5, change=8_000, warmup=WARMUP
        )
        for i in (3, 9, 18)
    },
}
"""The schedules of the public table `schedule_curves`."""

RMSE = {"25M": 0.00465, "100M": 0.00592, "400M": 0.00730}
"""Mean over the curves that the constants are not fitted to, as published with them."""

FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
"""Curves to which the published constants are fitted."""

COORDINATES = {
    "annealing": {"memory": 400.0},
    "multi-power": {"reach": 9.0, "beta": 0.6, "gamma": 0.64},
}
SHARED = {"loss_ref": 3.1, "reducible": 0.11, "alpha": 0.45, "drop": 0.05}


def test_the_public_table_has_these_schedules(shared_table):
    table = pd.read_csv(shared_table("schedule_curves"))
    for family, part in table.groupby("family"):
        step = part["step"].to_numpy()
        # A rate is recorded before or after its step; at a jump the two differ.
        rates, last = PUBLIC[family].rates, PUBLIC[family].steps - 1
        near = [rates[np.minimum(step + i, last)] for i in (-1, 0)]
        apart = [np.abs(rate / part["lr"].to_numpy() - 1.0) for rate in near]
        assert np.minimum(*apart).max() < 1e-9


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_constants_give_the_public_curves(shared_table, size):
    table = pd.read_csv(shared_table("schedule_curves")).query("size == @size")
    found = {}
    for family, part in table.groupby("family"):
        part = part.iloc[::3]
        loss = LAWS["multi-power"].evaluate(
            PUBLIC[family], part["step"], warmup=True, **PUBLISHED[size]
        )
        found[family] = np.sqrt(np.mean((loss - part["loss"]) ** 2))
    assert max(found.values()) < 0.015
    unseen = [error for family, error in found.items() if family not in FITTED]
    assert np.mean(unseen) == pytest.approx(RMSE[size], rel=0.05)


@pytest.mark.parametrize("name", LAWS)
def test_coordinates_and_parameters_give_the_same_loss(name):
    law, coordinates = LAWS[name], {**SHARED, **COORDINATES[name]}
    schedule = PUBLIC["wsdld_20000_24000"]
    step = np.array([3_000, 20_000, 20_100, 22_000, 24_000])
    area = 3.0
    parameters = law.parameters(coordinates, area, PEAK)
    assert set(parameters) == set(law.natural)
    exact = law.evaluate(schedule, step, **parameters)
    fallen = []
    for at in step:
        places = np.flatnonzero(schedule.drops[:at])
        nodes = {
            "log_rate": np.log(schedule.rates[places] / PEAK),
            "since": (schedule.area(at) - schedule.area(np.maximum(places, 1))) / PEAK,
            "log_steps": np.log(at - places),
        }
        fallen.append((schedule.drops[places] / PEAK * law.reached(nodes, coordinates)).sum())
    found = law.loss(np.log(schedule.area(step) / area), np.array(fallen), coordinates)
    assert found == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_cards_have_a_reason_and_a_meaning_for_each_unknown(name):
    law = LAWS[name]
    for unknown, prior in law.all_priors.items():
        assert len(prior.why) > 20
        assert MEANINGS[unknown]
    assert {*COORDINATES[name], *SHARED} == set(law.priors)


@pytest.mark.parametrize("name", LAWS)
def test_a_rate_that_never_falls_gives_a_power_of_the_area(name):
    law = LAWS[name]
    schedule = PUBLIC["constant_24000"]
    parameters = law.parameters({**SHARED, **COORDINATES[name]}, 3.0, PEAK)
    step = np.array([5_000, 24_000])
    power = parameters["E"] + parameters["A"] * schedule.area(step) ** -parameters["alpha"]
    assert law.evaluate(schedule, step, **parameters) == pytest.approx(power, rel=1e-12)


def test_other_parameters_are_refused():
    with pytest.raises(CardError, match="decay"):
        LAWS["annealing"].evaluate(PUBLIC["cosine_24000"], 3_000, E=2.0)
