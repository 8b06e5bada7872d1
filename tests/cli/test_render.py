"""Tables as text: meanings to the left, and amounts with their intervals."""

import pandas as pd

from bayescale.cli.render import intervals_text, table_text


def test_meanings_stand_to_the_left_as_the_last_column():
    table = pd.DataFrame(
        {"median": ["1.500", "20.25"], "meaning": ["short", "a longer one"]},
        index=pd.Index(["a", "beta"], name="quantity"),
    )
    assert table_text(table) == (
        "quantity median  meaning\n       a  1.500  short\n    beta  20.25  a longer one"
    )
    assert table_text(table[:0]).startswith("Empty DataFrame")


def test_amounts_have_suffixes_and_intervals():
    table = pd.DataFrame(
        {
            "n_tokens": [2e12],
            "loss": [2.12166],
            "loss_lower": [2.0594],
            "loss_upper": [2.1708],
            "learning_rate": [3e-4],
        },
        index=pd.Index([0], name="plan"),
    )
    assert intervals_text(table).iloc[0].to_dict() == {
        "n_tokens": "2.00T",
        "loss": "2.122 [2.059, 2.171]",
        "learning_rate": "0.0003000",
    }
