"""Expensive fixtures, made once per session."""

import gc
import os
import signal
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, settings
from json_outputs import check_json
from other_seed.shifted import shift_in_processes, shift_seeds

import bayescale as bs
from bayescale.backend.observed import Scale
from bayescale.cli.main import main

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
"""Larger public tables that are not part of the repository, beside it where they are at hand."""

CASES = SHARED.parent / "cases"
"""Small tables from public threads, beside the repository where they are at hand."""

collect_ignore = ["other_seed"]
"""Modules without tests, which subprocesses of tests import."""

SLOW_FIXTURES = {
    "compared",
    "departing",
    "three",
    "repeating",
    "of_curves",
    "small",
    "porian",
    "browser",
}
"""Fixtures that take long to make; tests that use one are marked slow."""

SLOW_EXAMPLES = {
    "test_the_public_battery": {
        "broken-power-law-1",
        "broken-power-law-2",
        "broken-power-law-3",
        "broken-power-law-4",
        "broken-power-law-1-signed",
        "broken-power-law-2-signed",
        "coupled",
        "critical-batch",
        "data-constrained",
        "data-mixing-4",
        "data-mixing-5",
        "kaplan-nd-floor",
        "kaplan-ns",
        "kaplan-ns-min",
        "learning-rate-batch",
        "mixture-of-experts",
        "moe-granularity",
        "moe-sparsity",
        "over-fitting",
        "over-training",
        "power-law-sigmoid",
    },
    "test_a_recommendation_does_not_depend_on_plans": {"one law-lifetime", "one law-searched"},
    "test_an_option_acts_or_is_refused": {
        "speedup---next",
        "next---new-level",
        "next---group",
        "next---at",
        "allocate---group",
        "requirements---new-level",
    },
    "test_interval_density_is_a_difference_of_probabilities": {"skew"},
    "test_the_graph_has_the_density_of_the_predictions": {"crossed"},
    "test_every_kind_of_law": {"kaplan-nd"},
    "test_laws_of_one_variable_recover_their_truth": {"power-law-plateau-truth2"},
    "test_every_card_answers_or_is_refused": {
        "coupled-discrepancy",
        "chinchilla-digitised",
        "coupled",
        "kaplan-nd",
        "kaplan-nd-floor",
        "kaplan-ns",
        "mixture-of-experts",
        "over-training",
    },
    "test_graph_with_a_stated_floor_is_prior_times_likelihood": {
        f"{card}, floor stated"
        for card in (
            "broken-power-law-2",
            "broken-power-law-3",
            "chinchilla-digitised",
            "chinchilla-quality",
            "chinchilla-recipes",
            "kaplan-nd-floor",
            "over-training",
            "power-law-sigmoid",
        )
    },
    "test_a_report_in_every_form": {"chinchilla-pooled-group", "coupled-discrepancy-none"},
    "test_a_gaussian_likelihood_has_its_known_posterior_and_evidence": {"0.01-9", "0.01-3"},
    "test_the_mode_that_is_true_wins": {"swapped", "kaplans"},
    "test_two_columns_in_other_units_are_found": {"('n_params', 'n_tokens', 'compute')"},
    "test_the_value_of_a_floor_is_data_of_the_compiled_model": {"chinchilla, floor stated"},
    "test_a_verb_answers_or_is_refused": {
        "chinchilla-pooled-next_runs",
        "coupled-discrepancy-speedup",
    },
    "test_a_figure_is_drawn_or_is_refused": {"coupled-discrepancy"},
    "test_intervals_of_a_cost_law_hold_the_cost_of_a_larger_run": {"additive"},
    "test_over_cores_with_a_store_and_loaded": {"chinchilla", "coupled-discrepancy"},
    "test_a_chain_off_by_less_than_half_a_standard_deviation_is_found": {"1000-0.6"},
    "test_short_chains_that_agree_seldom_fail_by_chance": {"1000-0.8"},
    "test_groups_on_the_command_line": {"decide", "next"},
    "test_an_answer_says_first_of_which_level_it_is": {"decide", "next_runs"},
    "test_size_and_tokens_spend_the_budget": {"kaplan-ns"},
}
"""Parameters that the quick suite leaves out, by test, which has others there; they are marked slow."""

SLOW_DOCTESTS = {
    "bayescale.allocation.token_quality.token_quality",
    "bayescale.experiment_design.comparison_runs.comparison_runs",
    "bayescale.experiment_design.first_sweep.first_sweep",
    "bayescale.inference.fit.fit",
    "bayescale.inference.refits.RefitOptions",
    "bayescale.plots._backtest.backtest",
    "bayescale.plots._coverage.coverage",
    "bayescale.plots._intervals.token_quality",
    "bayescale.plots._proposed_runs.comparison_runs",
    "bayescale.plots._proposed_runs.first_sweep",
    "bayescale.plots._proposed_runs.next_runs",
    "bayescale.posterior.fitted.FittedModel.sel",
    "bayescale.posterior.shape.shape_weights",
    "bayescale.schedules.forecast.forecast_run",
    "bayescale.sensitivity.floors.forecast_by_floor",
    "bayescale.validation.backtest.backtest",
    "bayescale.validation.compare.compare",
    "bayescale.validation.sbc.sbc",
    "bayescale.validation.score.compare_breaks",
    "bayescale.validation.stacking.stacking_weights",
}
"""Examples in docstrings that take over a second; they are marked slow."""

QUICK_MODELS = {
    "chinchilla",
    "coupled-discrepancy",
    "chinchilla-pooled",
    "data-constrained",
    "power-law-floor",
}
QUICK_PICTURES = {"coupled-discrepancy", "chinchilla-pooled", "power-law-floor"}
QUICK_LAWS = {"chinchilla", "coupled", "power-law-floor"}
QUICK_CONSTANTS = {"hoffmann2022", "kaplan2020-ns", "kaplan2020-n"}
QUICK_EXAMPLES = {
    "test_a_fit_and_its_predictions_say_the_same_in_every_unit": ("law", QUICK_LAWS),
    "test_fits_pooled_by_columns_of_any_name_are_saved": ("name", {"a/b"}),
    "test_a_command_prints_json_or_is_refused": ("name", QUICK_MODELS),
    "test_a_figure_is_drawn_or_is_refused": ("name", QUICK_PICTURES),
    "test_a_fit_is_exported": ("name", QUICK_MODELS),
    "test_a_law_is_compared": ("name", QUICK_MODELS),
    "test_a_report_in_every_form": ("name", QUICK_PICTURES),
    "test_a_fit_without_a_sampler_goes_through_its_runs": ("name", QUICK_MODELS),
    "test_checks_pass_where_the_law_and_its_noise_hold": (
        "name",
        QUICK_MODELS | {"growth-compute", "broken-power-law-1"},
    ),
    "test_a_fit_is_saved_and_loaded_as_it_is": ("name", QUICK_MODELS),
    "test_a_verb_answers_or_is_refused": (
        "name",
        {"coupled-discrepancy", "chinchilla-pooled", "power-law-floor"},
    ),
    "test_a_command_prints_what_people_read": ("name", {"nested", "power-law"}),
    "test_optima_do_not_depend_on_the_unit": ("law", {"chinchilla", "coupled"}),
    "test_all_parts_pooled_at_once_agree_too": ("columns", {("family", "family+recipe")}),
    "test_a_command_answers_without_an_interval_or_says_why_not": ("name", QUICK_CONSTANTS),
    "test_the_inverse_questions_lie_on_the_frontier": ("cost", {"6ND", "own cost"}),
    "test_columns_of_any_name_are_saved": ("name", set()),
    "test_columns_of_any_kind_are_saved": ("kind", set()),
    "test_compiled_density_is_prior_times_likelihood": (
        "card",
        {"chinchilla", "chinchilla, floor stated", "kaplan-nd"},
    ),
}
"""For tests over every model, law or name: the argument, and its values in the quick suite; all
others are marked slow."""


# The benchmarks are in the checkout only; the package is the installed one.
sys.path.append(str(Path(__file__).parents[1]))


# How long an example takes depends on the machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure():
    """Refuse arrays that do not align, take interrupts, and shift all seeds if asked to.

    xarray would otherwise keep the draws or plans that two arrays share. A process that was started
    in the background ignores interrupts, and so do its children; tests send them. With other seeds,
    expectations must hold for any correct draws.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    xr.set_options(arithmetic_join="exact")
    if os.environ.get("BAYESCALE_TEST_SEED"):
        shift_seeds()
        shift_in_processes()


def pytest_collection_finish():
    """Exclude imported objects from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


UNKNOWN = pytest.StashKey[list[str] | None]()
"""Names above without a collected test; None if the whole suite was not collected."""


def pytest_collection_modifyitems(config, items):
    config.stash[UNKNOWN] = _unknown_names(items) if _is_whole(config) else None
    for item in items:
        slow_fixtures = SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
        if slow_fixtures or item.name in SLOW_DOCTESTS or _is_slow_example(item):
            item.add_marker(pytest.mark.slow)


def _is_whole(config):
    """Return whether every test of the project was collected, before any is deselected."""
    asked = {(config.invocation_params.dir / path).resolve() for path in config.args}
    return asked == {(config.rootpath / path).resolve() for path in config.getini("testpaths")}


def _unknown_names(items):
    """Return the names of fixtures, tests and examples above that do not exist."""
    fixtures, ids, values = set(), {}, {}
    missing = SLOW_DOCTESTS - {item.name for item in items}
    for item in items:
        fixtures |= set(getattr(item, "fixturenames", ()))
        if hasattr(item, "callspec"):
            ids.setdefault(item.originalname, set()).add(item.callspec.id)
            argument, _ = QUICK_EXAMPLES.get(item.originalname, (None, ()))
            if argument in item.callspec.params:
                value = item.callspec.params[argument]
                values.setdefault(item.originalname, set()).add(getattr(value, "name", value))
    found = [f"fixture {name}" for name in sorted(SLOW_FIXTURES - fixtures)]
    found += [f"doctest {name}" for name in sorted(missing)]
    for known, named in (
        (ids, SLOW_EXAMPLES),
        (values, {test: quick for test, (_, quick) in QUICK_EXAMPLES.items()}),
    ):
        for test, examples in named.items():
            found += [f"{test}[{name}]" for name in sorted(examples - known.get(test, set()))]
    return found


def _is_slow_example(item):
    """Return whether an item is an example of a parametrised test that the quick suite skips."""
    if not hasattr(item, "callspec"):
        return False
    if item.callspec.id in SLOW_EXAMPLES.get(item.originalname, ()):
        return True
    argument, quick = QUICK_EXAMPLES.get(item.originalname, (None, ()))
    if argument is None:
        return False
    value = item.callspec.params[argument]
    return getattr(value, "name", value) not in quick


@pytest.fixture
def unknown_names(request) -> list[str] | None:
    """Names of slow and quick examples above without a test; None without the whole suite."""
    return request.config.stash[UNKNOWN]


@pytest.fixture(autouse=True)
def closed_figures():
    """Close the figures that a test leaves open, without importing pyplot for those that do not."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def shared_table():
    """Return the path of a larger public table by name, or skip the test without it."""

    def find(name: str) -> Path:
        path = SHARED / f"{name}.csv"
        if not path.is_file():
            pytest.skip(f"the table {path.name} is not beside the checkout")
        return path

    return find


@pytest.fixture(scope="session")
def case():
    """Return the path of a small public case by its file's name, or skip the test without it."""

    def find(name: str) -> Path:
        path = CASES / name
        if not path.is_file():
            pytest.skip(f"the case {name} is not beside the checkout")
        return path

    return find


@pytest.fixture(scope="session")
def fits_by_content() -> dict[tuple[bytes, str | None], bs.Fit]:
    """Fits that commands loaded, by the digest of their file and the law that was asked for."""
    return {}


@pytest.fixture
def loaded_once(monkeypatch, fits_by_content):
    """Cache saved fits by content, with their diagnostics, when commands load them.

    Loading has its own tests; commands differ in what they do with a fit.
    """
    from bayescale.inference import load

    load_fit = load.load_fit

    def load_once(path, *, law=None):
        if not os.path.isfile(path):  # False for any text, unlike Path.is_file
            return load_fit(path, law=law)
        key = sha256(Path(path).read_bytes()).digest(), law
        if key not in fits_by_content:
            fits_by_content[key] = load_fit(path, law=law)
        return fits_by_content[key]

    monkeypatch.setattr(load, "load_fit", load_once)


@pytest.fixture
def run(capsys, loaded_once):
    """Return a function that runs a command, and returns its exit code and output."""

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        if code == 0 and "--json" in arguments:
            check_json(arguments[0], captured.out)
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def chinchilla_runs() -> bs.Runs:
    return bs.load_runs("chinchilla")


@pytest.fixture(scope="session")
def fit(chinchilla_runs) -> bs.Fit:
    """A real posterior: Chinchilla's law on the shipped runs."""
    return bs.fit(chinchilla_runs, "chinchilla", seed=1, progress=False)


@pytest.fixture(scope="session")
def cuts(chinchilla_runs) -> bs.ExpandingWindow:
    """The expanding window over three cuts and all of the Chinchilla runs, at 95 %."""
    return bs.expanding_window(
        chinchilla_runs,
        "chinchilla",
        ["1e20", "3e20", "1e21"],
        budget="5.76e23",
        prob=0.95,
        seed=1,
        progress=False,
    )


@pytest.fixture(scope="session")
def law_fits(fit, chinchilla_runs) -> dict[str, bs.Fit]:
    """Three laws on the shipped runs."""
    others = ("kaplan-nd", "coupled")
    fitted = {card: bs.fit(chinchilla_runs, card, seed=1, progress=False) for card in others}
    return {"chinchilla": fit, **fitted}


@pytest.fixture(scope="session")
def compared(law_fits) -> bs.Comparison:
    """Those laws, compared."""
    return bs.compare(law_fits, seed=1, progress=False)


@pytest.fixture(scope="session")
def failed_fit(fit) -> bs.Fit:
    """A fit whose chains disagree, made from a good one by moving a chain away."""
    posterior = fit.posterior.copy(deep=True)
    apart = xr.DataArray([0.0, 0.0, 0.0, 0.2], dims="chain")
    posterior["alpha"] = posterior["alpha"] + apart
    return bs.Fit(fit.model, fit.runs, fit.scale, posterior, fit.sample_stats, fit.provenance)


@pytest.fixture(scope="session")
def handmade_draws(chinchilla_runs) -> dict[str, xr.DataArray]:
    """Draws of Chinchilla parameters around the replication's, for tests that need no fit."""
    rng = np.random.default_rng(5)
    centre = bs.law("chinchilla").to_reference(
        bs.published("besiroglu2024").parameters,
        Scale.of(bs.load_model("chinchilla"), chinchilla_runs).reference,
    )
    return {
        name: xr.DataArray(
            value * np.exp(0.02 * rng.standard_normal((2, 50))), dims=("chain", "draw")
        )
        for name, value in centre.items()
    }
