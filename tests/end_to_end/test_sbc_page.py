"""The page of simulation-based calibration is rendered from stored results."""

import json

from benchmarks.simulation_based_calibration import PAGE, RESULTS, render, sets


def test_the_page_has_the_stored_results_of_the_current_cards():
    stored = json.loads(RESULTS.read_text("utf-8"))
    assert not set(sets()) - set(stored), "cards have changed: write the page with `make sbc`"
    rows = [row for key in sets() for row in stored[key]]
    assert PAGE.read_text("utf-8") == render(rows)


def test_a_set_whose_ranks_are_not_uniform_is_marked():
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
