"""The samplers of a model: compiled once per process, in one thread at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import bayescale as bs
from bayescale.inference import samplers


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
