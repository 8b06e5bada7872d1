"""The recommended next steps of reports without an allocation."""

from types import SimpleNamespace

import pytest

from bayescale.reports.forecasts import Forecast
from bayescale.reports.next_steps import next_steps

ANSWER = SimpleNamespace()
NEAR = Forecast(ANSWER, "", "step = 20.0K", "between 2.3 and 2.4 with 90 % probability", far=False)
FAR = Forecast(ANSWER, "", "step = 2.00M", "between 2.1 and 2.2 with 90 % probability", far=True)


def steps(columns: dict[str, str], *forecasts: Forecast, ok: bool = True) -> tuple[str, ...]:
    law = SimpleNamespace(domains=0)
    fit = SimpleNamespace(columns=columns, response="loss", law=law)
    return next_steps(fit, None, (), SimpleNamespace(ok=ok), None, forecasts)


def test_a_law_of_one_variable_names_its_column_and_what_a_run_should_show():
    expected, further = steps({"x": "step"}, NEAR)
    assert expected.startswith("A run at step = 20.0K should end between 2.3 and 2.4")
    assert "gives the step for a loss" in further


def test_extrapolations_are_to_be_tested_first():
    expected, tested, _ = steps({"x": "step"}, NEAR, FAR)
    assert "step = 2.00M should end between 2.1 and 2.2" in expected
    assert "preregister" in tested


@pytest.mark.parametrize("forecasts", [(), (NEAR,)])
def test_a_law_of_several_inputs_suggests_no_requirements(forecasts):
    (said,) = steps({"n": "n_params", "d": "n_tokens"}, *forecasts)
    assert ("should end" if forecasts else "--at n_params=AMOUNT") in said


def test_a_failed_fit_says_not_to_act():
    (said,) = steps({"x": "step"}, NEAR, ok=False)
    assert said.startswith("Do not act")
