"""Tables from records."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def table_of(
    rows: Sequence[Mapping[str, Any]], index: "pd.Index[Any] | None" = None
) -> pd.DataFrame:
    """Return a table of records with unconverted cells; missing ones are None.

    Columns are built as objects, since type inference in pandas fails on integers above 2^64.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {
        name: pd.Series([row.get(name) for row in rows], index=index, dtype=object)
        for name in names
    }
    return pd.DataFrame(columns, index=index).infer_objects()
