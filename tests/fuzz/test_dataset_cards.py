"""Any dataset card is read or refused, and names existing columns."""

import tomllib

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.data.card import DatasetCard
from bayescale.data.catalog import find_dataset
from bayescale.errors import BayescaleError

FUZZ = settings.get_profile("fuzz")
FUZZ = settings(FUZZ, max_examples=max(1, FUZZ.max_examples // 2))
"""The tests of one reader share its number of inputs."""

pytestmark = pytest.mark.filterwarnings("ignore::bayescale.errors.BayescaleWarning")

CARD = tomllib.loads((find_dataset("chinchilla") / "card.toml").read_text(encoding="utf-8"))
del CARD["checksum"]
KEYS = [*CARD, "checksum", "vocabulary_size", "license", "x", ""]
COLUMNS = ["n_params", "n_tokens", "compute", "loss", "outlier", "outlir", "run", "size", "N", ""]
TEXTS = st.sampled_from(
    [
        *("", "outlier", "outlir", "M", "B", "nats/token", "bits/byte", "perplexity", "log10"),
        *("EFLOP", "total", "compute / (6 n_params)", "sha256:00", "x" * 10_000),
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=5)
SCALARS = TEXTS | st.integers(-(2**70), 2**70) | st.floats() | st.booleans()
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from([*COLUMNS, "column", "why", "colum"]), SCALARS, max_size=3),
    st.dictionaries(st.sampled_from([*COLUMNS, "column", "why"]), TEXTS, max_size=3),
)
TABLE = "n_params,n_tokens,loss,outlier\n1e8,2e9,3.5,0\n2e8,9e9,3.2,0\n4e8,9e9,3.0,1\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    (folder / "runs.csv").write_text(TABLE, encoding="utf-8")
    return folder


def read_or_refused(folder):
    try:
        runs = bs.load_runs(folder)
    except BayescaleError as error:
        said = str(error)
        assert len(said) < 2000
        assert said.endswith((".", "?")), said
        return
    card = runs.card
    flag = card.outliers.get("column", "outlier")
    assert len(runs) == (2 if flag == "outlier" else 3)
    assert isinstance(card.family, str) and isinstance(runs.loss_unit, str)
    assert DatasetCard.from_dict(CARD | {"id": card.id}, "again").id == card.id


@FUZZ
@given(
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    st.sets(st.sampled_from([*KEYS, "known_issues", "outliers", "units"]), max_size=2),
)
def test_cards(folder, change, left_out):
    content = {key: value for key, value in (CARD | change).items() if key not in left_out}
    (folder / "card.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    read_or_refused(folder)


@FUZZ
@given(st.integers(0, 3000), st.binary(max_size=6), st.integers(0, 20))
def test_damaged_cards(folder, place, content, length):
    text = tomli_w.dumps(CARD).encode()
    place %= len(text)
    (folder / "card.toml").write_bytes(text[:place] + content + text[place + length :])
    read_or_refused(folder)
