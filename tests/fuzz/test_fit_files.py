"""Any bytes are a saved fit or are refused; the file is not changed."""

import json

import pytest
import xarray as xr
from contract.fits import fit_of_card
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.netcdf import seal
from bayescale.errors import FitFileError

pytestmark = pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")

FACTS = ("model", "scale", "runs", "provenance")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a saved fit of few draws, its bytes before the digest, its facts, and a path for others."""
    from dataclasses import replace

    whole = fit_of_card("chinchilla")
    some = {"draw": slice(0, 8)}
    fit = replace(
        whole,
        _posterior=whole.posterior.isel(some),
        _sample_stats=whole.sample_stats.isel(some),
    )
    path = tmp_path_factory.mktemp("fits") / "fit.nc"
    fit.save(path)
    tree = xr.load_datatree(path, engine="h5netcdf")
    content = path.read_bytes().rpartition(b"\nbayescale sha256 ")[0]
    return content, tree, path.with_name("changed.nc")


def _fit_or_refused(path) -> None:
    before = path.read_bytes()
    try:
        fit = bs.load_fit(path)
    except FitFileError as error:
        assert len(str(error)) < 3000
        assert str(path) in str(error)
    else:
        assert fit.description
    assert path.read_bytes() == before


def _mutated(data, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        cut = data.draw(st.sampled_from([0, 1, 2, 4, 8, 1000]))
        changed[at : at + cut] = data.draw(st.binary(max_size=8))
    return bytes(changed)


@settings.get_profile("fuzz")
@given(st.data())
def test_changed_bytes(small, data) -> None:
    content, _, path = small
    path.write_bytes(_mutated(data, seal(content)))
    _fit_or_refused(path)


@settings.get_profile("fuzz")
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(small, content, sealed) -> None:
    path = small[2]
    path.write_bytes(seal(content) if sealed else content)
    _fit_or_refused(path)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


FUZZ = settings.get_profile("fuzz")
SLOWER = settings(FUZZ, max_examples=max(1, FUZZ.max_examples // 20))
"""Files with a valid digest are opened, which takes a fifth of a second."""


@SLOWER
@given(st.data())
def test_changed_bytes_that_are_sealed(small, data) -> None:
    content, _, path = small
    path.write_bytes(seal(_mutated(data, content)))
    _fit_or_refused(path)


@SLOWER
@given(st.data())
def test_facts_of_another(small, data) -> None:
    """With a valid digest, so that the content is read."""
    _, tree, path = small
    changed = tree.copy()
    name = data.draw(st.sampled_from(FACTS))
    facts = json.loads(tree.attrs[name])
    into = facts
    while True:
        key = data.draw(st.sampled_from(sorted(into)))
        if isinstance(into[key], dict) and into[key] and data.draw(st.booleans()):
            into = into[key]
            continue
        break
    if data.draw(st.booleans()):
        into[key] = data.draw(JSON)
    else:
        del into[key]
    changed.attrs = tree.attrs | {name: json.dumps(facts)}
    path.write_bytes(seal(bytes(changed.to_netcdf(engine="h5netcdf"))))
    _fit_or_refused(path)
