"""The samplers of a model: compiled once per process, in one thread at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import bayescale as bs
from bayescale.inference import samplers
from bayescale.model.noise import Heteroscedasticity

GROWTH = Heteroscedasticity(along="compute", exponent=bs.Normal(mean=0.0, sd=0.2, why="for a test"))


def test_threads_do_not_compile_at_the_same_time(monkeypatch):
    """Concurrent compilation may crash the process, or change later draws."""
    inside, most, made = 0, 0, []
    entered = threading.Event()

    def compile_slowly(model, sizes):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        entered.wait(0.2)
        inside -= 1
        made.append(model.law.name)
        return object()

    monkeypatch.setitem(samplers.SAMPLERS, "nutpie", compile_slowly)
    samplers._compiled_card.cache_clear()
    cards = ["chinchilla", "chinchilla", "coupled", "kaplan-nd"]
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(lambda c: samplers.compiled_logp(bs.load_model(c)), cards))
    samplers._compiled_card.cache_clear()
    assert most == 1
    assert sorted(made) == ["chinchilla", "coupled", "kaplan-nd"]
    assert found[0] is found[1]


@pytest.fixture
def uncompiled(monkeypatch):
    """Nothing is compiled: an object replaces each compiled density."""
    monkeypatch.setitem(samplers.SAMPLERS, "nutpie", lambda model, sizes: object())
    samplers._compiled_card.cache_clear()
    yield
    samplers._compiled_card.cache_clear()


@pytest.mark.parametrize(
    ("card", "inputs"),
    [("power-law", {"x": "n_examples"}), ("chinchilla", {"n_params": "n_params_nonembedding"})],
)
def test_a_card_is_compiled_once_for_any_columns_of_its_inputs(uncompiled, card, inputs):
    model = bs.load_model(card)
    other = replace(model, inputs=inputs)
    assert samplers.compiled_logp(other) is samplers.compiled_logp(model)


def test_columns_that_the_noise_refers_to_are_compiled(uncompiled):
    base = bs.load_model("chinchilla")
    model = replace(base, noise=replace(base.noise, growth=GROWTH))
    other = replace(model, inputs={"n_params": "n_params_nonembedding"})
    assert samplers.compiled_logp(other) is not samplers.compiled_logp(model)
