"""Options of functions of many fits: given as keywords, and refused by name."""

import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest

import bayescale as bs
from bayescale.inference.parallel import Task
from bayescale.inference.refits import RefitOptions, Refits

OF_MANY_FITS = (
    bs.backtest,
    bs.compare,
    bs.expanding_window,
    bs.forecast_by_floor,
    bs.leave_scale_out,
    bs.multiverse,
)


def test_options_have_one_list_of_names():
    assert list(RefitOptions.__annotations__) == [field.name for field in fields(Refits)]
    for function in OF_MANY_FITS:
        assert "options" in inspect.signature(function).parameters, function


def test_given_options_override_the_default_of_the_function():
    assert Refits.of({}, draws=500) == Refits(draws=500)
    given = Refits.of({"draws": 7, "seed": 3, "target_accept": 0.9}, draws=500)
    assert given.sampling == {"seed": 3, "draws": 7, "target_accept": 0.9}
    assert given.key == (3, 7, 0.9)


@pytest.mark.parametrize("function", OF_MANY_FITS, ids=lambda f: f.__name__)
def test_a_misspelt_option_is_refused_before_anything_is_read(function):
    required = {
        name: None
        for name, p in inspect.signature(function).parameters.items()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    with pytest.raises(TypeError, match="found the argument 'seeds'.*Did you mean 'seed'"):
        function(**required, seeds=1)


def double(number: int) -> dict[str, int]:
    return {"twice": 2 * number}


def test_tasks_run_on_the_executor_and_are_kept(tmp_path):
    tasks = [Task(str(i), (i,)) for i in range(3)]
    store = tmp_path / "results.jsonl"
    with ThreadPoolExecutor(2) as executor:
        refits = Refits(executor=executor, store=store, progress=False)
        assert refits.run(double, tasks, "doubling") == [{"twice": 0}, {"twice": 2}, {"twice": 4}]
    assert len(store.read_text().splitlines()) == 3
