"""Keys of stored results differ by law, cost, order of rows and version."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

import bayescale as bs
from bayescale._digests import digest_of
from bayescale.costs import FunctionCost, ShapedCost, ShapeFamily
from bayescale.inference.parallel import task_key
from bayescale.sensitivity.refit import Question

SCALE = 2.0


def linear(x):
    return SCALE * x


def quadratic(x):
    return x**2


def test_every_one_of_several_is_part_of_the_digest():
    """Temporary parts of a digest may reuse a memory address."""
    pairs = [[partial(max, 1), partial(max, other)] for other in range(2, 8)]
    assert len({digest_of(pair) for pair in pairs}) == len(pairs)


def calling(x):
    return linear(x) + 1


def with_default(x, k=1.0):
    return k * x


def closed(k):
    return lambda x: k * x


@dataclass(frozen=True)
class Holds:
    what: object


class Method:
    def formula(self, x):
        return linear(x)


DIFFERENT = {
    "functions": (linear, quadratic),
    "constants": (closed(1.0), closed(2.0)),
    "arguments": (partial(linear, 1), partial(linear, 2)),
    "lambdas": (lambda x: x + 1, lambda x: x + 2),
    "types": (1, 1.0),
    "truth": (1, True),
    "order": ([1, 2], [2, 1]),
    "nesting": ([1, [2]], [[1], 2]),
    "texts": (("a", "bc"), ("ab", "c")),
    "arrays": (np.arange(3.0), np.arange(3.0) + 1e-15),
    "shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "fields": (Holds(1), Holds(2)),
    "zeros": (0.0, -0.0),
}


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=list(DIFFERENT))
def test_different_things_have_different_digests(pair) -> None:
    one, other = pair
    assert digest_of(one) == digest_of(one)
    assert digest_of(one) != digest_of(other)


def test_what_a_function_refers_to_is_part_of_it(monkeypatch) -> None:
    before = {digest_of(f) for f in (linear, calling, Method(), Method().formula)}
    monkeypatch.setattr(f"{__name__}.SCALE", 3.0, raising=False)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    after = {digest_of(f) for f in (linear, calling, Method(), Method().formula)}
    assert before.isdisjoint(after)
    monkeypatch.setattr(with_default, "__defaults__", (2.0,))
    assert digest_of(with_default) not in (before | after)


def test_digests_are_the_same_in_another_session() -> None:
    code = (
        "import bayescale as bs, numpy as np; from bayescale._digests import digest_of\n"
        "k = 3.0\n"
        "def f(x): return k * np.exp(x) if x in {'a', 'b', 'c'} else [y for y in range(3)]\n"
        "print(digest_of(f, bs.law('chinchilla'), {'a', 'b', 'c'}, np.exp, bs.costs.six_nd))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(found) == 1


def _table(family: str = "a") -> bs.Runs:
    n = np.geomspace(1e8, 1e9, 6)
    return bs.load_runs(
        pd.DataFrame({"N": n, "D": 20 * n[::-1], "loss": 3 + 1 / np.arange(1, 7), "family": family})
    )


def test_keys_are_of_rows_in_their_order() -> None:
    model, runs = bs.load_model("chinchilla"), _table()
    turned = replace(runs, _table=runs.table[::-1].reset_index(drop=True))
    assert turned.fingerprint == runs.fingerprint, "it is the same data"
    assert task_key(model, turned, 3) != task_key(model, runs, 3), "and not the same row 3"
    assert task_key(model, _table("b"), 3) != task_key(model, runs, 3)
    assert task_key(model, _table(), 3) == task_key(model, runs, 3)


def test_keys_are_of_the_formula_and_of_the_version(monkeypatch) -> None:
    positive = bs.Parameter(meaning="level", symbol="a")
    runs = _table()

    def key() -> str:
        priors = dict.fromkeys("ak", bs.LogNormal(median=1.0, log_sd=1.0, why="a test"))
        noise = bs.load_model("chinchilla").noise
        return task_key(bs.Model(law="of keys", priors=priors, noise=noise), runs)

    @bs.define_law("of keys")
    def first(n_tokens, a: positive, k: positive):
        return a * np.exp(-k * np.log(n_tokens))

    before = key()
    assert key() == before

    @bs.define_law("of keys")
    def second(n_tokens, a: positive, k: positive):
        return a * np.exp(-2 * k * np.log(n_tokens))

    assert key() != before
    known = task_key(bs.load_model("chinchilla"), runs)
    monkeypatch.setattr("bayescale.inference.parallel.__version__", "0.0.0")
    assert task_key(bs.load_model("chinchilla"), runs) != known


def test_questions_tell_costs_and_countings_apart() -> None:
    costs = [
        ShapedCost(family=ShapeFamily(aspect=128, vocab_size=v, n_ctx=2048)) for v in (1000, 2000)
    ]
    costs += [FunctionCost(function=f, unit="$") for f in (lambda n, d: n * d, lambda n, d: n + d)]
    settings = {digest_of(Question(budget=1e21, cost=cost).settings) for cost in costs}
    assert len(settings) == len(costs)
    countings = {digest_of(Question(budget=1.0, count=f).settings) for f in (linear, quadratic)}
    assert len(countings) == 2
