"""The page of simulated truths is rendered from kept results."""

import json

from benchmarks.simulation_based_calibration import KEPT, PAGE, render, sets


def test_the_page_is_of_what_is_kept_of_the_cards_as_they_are():
    kept = json.loads(KEPT.read_text("utf-8"))
    assert not set(sets()) - set(kept), "cards have changed: make the page again with `make sbc`"
    rows = [row for key in sets() for row in kept[key]]
    assert PAGE.read_text("utf-8") == render(rows)


def test_a_set_that_does_not_look_uniform_is_marked():
    row = {
        "card": "made",
        "design": "grid",
        "simulations": 200,
        "uniform": False,
        "least_p": 0.0,
        "least_p_of": "E",
        "spread_min": 0.9,
        "spread_max": 1.234,
        "along_chain": 3,
    }
    line = "| `made` | grid | 200 | **no** | below 0.0003 (E) | 0.90 to 1.23 | 3 |"
    assert line in render([row]).splitlines()
