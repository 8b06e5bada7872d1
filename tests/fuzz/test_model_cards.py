"""Any model card is read or refused; a card that is read can be written, and saved with a fit."""

import copy
import datetime as dt
import json
import tomllib

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.catalog import model_cards
from bayescale.errors import BayescaleError

pytestmark = pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")

CARDS = {name: tomllib.loads(path.read_text("utf-8")) for name, path in model_cards().items()}
WORDS = sorted({key for card in CARDS.values() for key in json.dumps(card).split('"')[1::2]})
TEXTS = st.sampled_from([w for w in WORDS if len(w) < 40]) | st.text(max_size=4)
SCALARS = st.one_of(
    TEXTS,
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 10**4000, 1e308, 1e-320, "x" * 10_000]),
    st.floats(),
    st.booleans(),
    st.dates(),
    st.datetimes(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def _places(content, path=()):
    """Return every path in a card: keys of tables and entries of lists, at any depth."""
    yield path
    entries = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from list(_places(value, (*path, key)))[1:]


PLACES = {name: [place for place in _places(card) if place] for name, card in CARDS.items()}


@st.composite
def changed_cards(draw):
    name = draw(st.sampled_from(sorted(CARDS)))
    card = copy.deepcopy(CARDS[name])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES[name]))
        how = draw(st.sampled_from(["set", "remove", "add", "rename"]))
        into = card
        try:
            for key in place[:-1]:
                into = into[key]
            if how == "set":
                into[place[-1]] = draw(VALUES)
            elif how == "remove":
                del into[place[-1]]
            elif how == "add":
                into[draw(TEXTS)] = draw(VALUES)
            else:
                into[draw(TEXTS)] = into.pop(place[-1])
        except (AttributeError, KeyError, IndexError, TypeError):
            continue  # an earlier change removed the path
    return card


def _read_or_refused(read) -> None:
    try:
        model = read()
    except BayescaleError as error:
        said = str(error)
        assert len(said) < 2500, said[:200]
        return
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {str(error)[:200]}") from error
    # A card that is read can be written, sampled and saved with a fit.
    again = bs.Model.from_dict(tomllib.loads(model.to_toml()))
    assert again == model
    assert bs.Model.from_dict(json.loads(json.dumps(model.to_dict()))) == model
    repr(model)


@settings.get_profile("fuzz")
@given(changed_cards())
def test_changed_cards(card) -> None:
    _read_or_refused(lambda: bs.Model.from_dict(card))


@settings.get_profile("fuzz")
@given(VALUES)
def test_any_content(content) -> None:
    _read_or_refused(lambda: bs.Model.from_dict(content if isinstance(content, dict) else {}))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("cards") / "mine.toml"


@settings.get_profile("fuzz")
@given(st.sampled_from(sorted(CARDS)), st.data())
def test_changed_files(path, name, data) -> None:
    content = bytearray(model_cards()[name].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 40))
        new = data.draw(st.binary(max_size=3) | st.sampled_from([b"[", b'"', b"\n[[", b"9" * 50]))
        content[at : at + cut] = new
    path.write_bytes(content)
    _read_or_refused(lambda: bs.load_model(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 2000 + "]" * 2000,
        "a = " + "{b = " * 2000,
        ".".join(["a"] * 5000) + " = 1",
        "a = " + "9" * 5000,
        "law = 'chinchilla'\nreferences = [2024-01-01]",
        "law = 'chinchilla'\ntitle = 2024-01-01T00:00:00Z",
    ],
)
def test_cards_that_are_nested_or_long(path, text) -> None:
    path.write_text(text)
    with pytest.raises(BayescaleError):
        bs.load_model(path)


def test_dates_are_refused_before_anything_is_sampled() -> None:
    card = CARDS["chinchilla"]
    for changed in (
        {"references": [dt.date(2024, 1, 1)]},
        {"title": dt.date(2024, 1, 1)},
        {"inputs": {"n_params": dt.date(2024, 1, 1)}},
        {"inputs": {"n_params": 3}},
        {"references": "one text"},
    ):
        with pytest.raises(bs.CardError, match=next(iter(changed))):
            bs.Model.from_dict(card | changed)
    assert tomli_w.dumps(card)
