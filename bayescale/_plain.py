"""Conversion to JSON types: JSON has neither NaN nor NumPy numbers."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return a value converted to JSON types; non-finite numbers become null.

    Examples
    --------
    >>> plain({"sizes": np.array([1.5, np.nan]), "ok": np.bool_(True)})
    {'sizes': [1.5, None], 'ok': True}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(x) for key, x in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)


def json_text(value: Any, indent: int = 2) -> str:
    """Return a value as strictly valid JSON."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)
