"""Dataset cards: valid keys and columns of the table, or a refusal."""

import dataclasses
import shutil
import tomllib

import pandas as pd
import pytest
import tomli_w

import bayescale as bs
from bayescale.data.card import DatasetCard
from bayescale.data.catalog import find_dataset
from bayescale.errors import CardError

GOOD = tomllib.loads((find_dataset("overtraining") / "card.toml").read_text(encoding="utf-8"))
WRONG = {
    str: [3, True, [], ["a"], {}, 1.5],
    tuple[str, ...]: ["text", 3, {}, [3], [["a"]], [{}]],
    "Mapping": ["text", 3, [], {"a": 3}, {"a": ["b"]}, {"a": {}}],
    int | None: ["50k", 1.5, True, 0, 1, -3, [], {}, 10**12],
}


def wrong_values():
    for field in dataclasses.fields(DatasetCard):
        kind = "Mapping" if "Mapping" in str(field.type) else field.type
        for value in WRONG[kind]:
            yield field.name, value


@pytest.mark.parametrize(("key", "value"), list(wrong_values()))
def test_every_key_has_its_type(key, value):
    with pytest.raises(CardError, match=f"here: {key}: found .*, expected "):
        DatasetCard.from_dict(GOOD | {key: value}, "here")


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(DatasetCard)])
def test_a_misspelt_key_is_refused_with_the_nearest(key):
    misspelt = key[:-1] + "_"
    with pytest.raises(CardError, match=f"unknown key '{misspelt}'; the keys are .*Did you mean"):
        DatasetCard.from_dict(GOOD | {misspelt: "x"}, "here")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "one line of text"),
        ({"id": "x" * 10_000}, "one line of text"),
        ({"checksum": "sha256:abc"}, "64 hexadecimal digits"),
        ({"checksum": "md5:" + "0" * 64}, "64 hexadecimal digits"),
        ({"outliers": {"colum": "outlier"}}, r"\[outliers\]: found the unknown key 'colum'.*'column'"),
        ({"outliers": {"why": "diverged"}}, "column = "),
        ({"title": "x" * 10**5, "source": 3}, "source: found 3"),
        ({"title": ["x" * 10**5]}, "title: found .{,60}, expected text"),
    ],
)  # fmt: skip
def test_invalid_values_of_a_card_are_refused(change, said):
    with pytest.raises(CardError, match=said):
        DatasetCard.from_dict(GOOD | change, "here")


@pytest.mark.parametrize("name", bs.list_datasets().index)
def test_shipped_cards_go_through_json_and_back(name):
    card = bs.load_runs(name).card
    assert DatasetCard.from_dict(dataclasses.asdict(card), "saved card") == card


@pytest.fixture
def copy(tmp_path):
    """Return a way to read the chinchilla runs under a changed card."""

    def read(**change):
        folder = tmp_path / "copy"
        shutil.copytree(find_dataset("chinchilla"), folder, dirs_exist_ok=True)
        card = tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))
        (folder / "card.toml").write_text(tomli_w.dumps(card | change), encoding="utf-8")
        return bs.load_runs(folder)

    return read


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outliers": {"column": "outlir"}}, r"'outlir' in \[outliers\] column.*Did you mean 'outlier'"),
        ({"columns": {"n_param": "size"}}, r"'n_param' in \[columns\].*Did you mean 'n_params'"),
        ({"units": {"los": "nats/token"}}, r"'los' in \[units\].*Did you mean 'loss'"),
        ({"counting": {"params": "total"}}, r"'params' in \[counting\].*Did you mean 'n_params'"),
        ({"derived": {"n_token": "C/6N"}}, r"'n_token' in \[derived\].*Did you mean 'n_tokens'"),
    ],
)  # fmt: skip
def test_a_card_names_columns_that_are_there(copy, change, said):
    """A misspelt outlier column must not silently keep the outliers."""
    assert len(copy()) == 240
    with pytest.raises(CardError, match=said):
        copy(**change)


def test_a_card_may_name_columns_as_the_table_or_the_vocabulary_does(tmp_path):
    table = pd.DataFrame({"N": [1e8, 2e8], "D": [2e9, 8e9], "L": [3.0, 2.8]})
    table.to_csv(tmp_path / "runs.csv", index=False)
    card = {key: GOOD[key] for key in ("id", "title", "citation", "source", "licence")}
    card |= {
        "known_issues": [],
        "columns": {"N": "size", "n_tokens": "tokens", "L": "loss"},
        "units": {"n_params": "parameters", "compute": "FLOP", "loss": "nats/token"},
        "counting": {"n_params": "total", "compute": "6ND"},
    }
    (tmp_path / "card.toml").write_text(tomli_w.dumps(card), encoding="utf-8")
    assert len(bs.load_runs(tmp_path)) == 2


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "a = " + "[" * 5000, "a = " + "9" * 5000, "x = 'é", "\x00", "a.b.c" * 9000],
)
def test_invalid_card_files_are_refused(tmp_path, text):
    path = tmp_path / "card.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CardError, match="card.toml") as refused:
        DatasetCard.read(path)
    assert len(str(refused.value)) < 500
    with pytest.raises(CardError, match="card.toml") as refused:
        bs.load_model(path)
    path.write_bytes(b"id = '\xe9'")
    with pytest.raises(CardError, match="not valid TOML"):
        DatasetCard.read(path)


def test_cards_are_read_in_windows_editors_form(tmp_path):
    path = tmp_path / "card.toml"
    path.write_bytes(b"\xef\xbb\xbf" + tomli_w.dumps(GOOD).encode().replace(b"\n", b"\r\n"))
    assert DatasetCard.read(path).id == "overtraining"
