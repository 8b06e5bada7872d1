"""Conditions on the runs of a table, such as ``family == 'c4' and compute < 1e20``.

Conditions may come from untrusted sources, so they are parsed by a restricted grammar of
comparisons of columns with constants, joined by ``and``, ``or`` and ``not``, and never executed.
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayescale.errors import AmountError, RunsError, did_you_mean, listed, quoted
from bayescale.units import Quantity, parse_amount

ALLOWED = (
    "comparisons (==, !=, <, <=, >, >=, in, not in) of columns with numbers, quoted texts, lists, "
    "or other columns and their multiples, joined by and, or, not, as in \"family == 'c4' and "
    'n_tokens > 20 * n_params"; names that are not plain words go in backticks'
)
"""The grammar of conditions, for messages."""

type _Mask = NDArray[np.bool_]

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_MIRRORED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
_IN_WORDS: Mapping[type[ast.AST], str] = {
    ast.Call: "a call",
    ast.Attribute: "a dot (a column with a dot in its name goes in backticks)",
    ast.Subscript: "an index",
    ast.BinOp: "arithmetic (& and | are written and, or)",
    ast.UnaryOp: "arithmetic (~ is written not)",
    ast.Lambda: "a function",
    ast.IfExp: "if and else",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "an f-string",
    ast.Starred: "a star",
    ast.List: "a list that does not follow in",
    ast.Tuple: "a list that does not follow in",
    ast.Set: "a list that does not follow in",
    ast.Constant: "a constant in the wrong place",
}

_QUOTED_OR_BACKTICKED = re.compile(
    r"""'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | `(?P<name>[^`]*)`""", re.VERBOSE | re.DOTALL
)
_SHOWN = 200
"""Largest number of characters of a condition in a message."""

_LONGEST = 100_000
"""Largest length in characters; Python's parser may overflow the C stack on longer texts."""


def rows_meeting(
    condition: str, table: pd.DataFrame, read_as: Mapping[str, str] = MappingProxyType({})
) -> _Mask:
    """Return a mask of the rows of a table that meet a condition.

    Parameters
    ----------
    condition
        Comparisons (chained ones too) of columns with numbers, texts, lists, or other columns and
        their multiples, joined by ``and``, ``or`` and ``not``. Names that are not plain words go
        in backticks. Compared with a column of numbers, a text is an amount: ``n_params > '1B'``.
    table
        The rows. A missing value meets only ``!=`` and ``not in``.
    read_as
        Names of the table's columns by those of the file that it was read from. They are named in
        the message, not accepted: amounts in the table have other units.

    Raises
    ------
    RunsError
        If the condition is anything else; the message says what was found.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"family": ["c4", "rw"], "n_params": [7e9, 1e9], "a.b": [1, 2]})
    >>> rows_meeting("family == 'c4' or not n_params >= '2B'", table)
    array([ True,  True])
    >>> rows_meeting("`a.b` in [2, 3]", table)
    array([False,  True])
    """
    return _Condition(condition, table, read_as).mask()


class _Condition:
    """One condition on one table."""

    def __init__(self, condition: str, table: pd.DataFrame, read_as: Mapping[str, str]) -> None:
        self._condition = condition
        self._read_as = read_as
        self._table = table
        self._positions: dict[str, list[int]] = {}
        for i, name in enumerate(table.columns):
            self._positions.setdefault(str(name), []).append(i)
        self._backticked: dict[str, str] = {}

    def mask(self) -> _Mask:
        if len(self._condition) > _LONGEST:
            self._refuse(f"found {len(self._condition)} characters, more than {_LONGEST}")
        text = _QUOTED_OR_BACKTICKED.sub(self._identifier, self._condition.strip())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escape sequences in texts
                tree = ast.parse(text, mode="eval")
            return self._truth(tree.body)
        except RunsError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            if isinstance(error, RecursionError | MemoryError):
                reason = "nested too deep"
            self._refuse(f"it cannot be read: {self._shown(reason)}")

    def _identifier(self, found: re.Match[str]) -> str:
        """Replace a backticked name by an identifier."""
        name = found["name"]
        if name is None:
            return found[0]
        word = f"_column_{len(self._backticked)}"
        while word in self._condition or word in self._positions:
            word += "_"
        self._backticked[word] = name
        return word

    def _truth(self, node: ast.expr) -> _Mask:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return np.stack([self._truth(part) for part in parts]).all(axis=0)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return np.stack([self._truth(part) for part in parts]).any(axis=0)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self._truth(part)
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [left, *others]
                pairs = zip(sides, ops, others, strict=False)
                return np.stack([self._compared(a, op, b) for a, op, b in pairs]).all(axis=0)
            case ast.Name():
                values = self._column(node)
                if values.dtype != np.bool_:
                    self._refuse(
                        f"found {self._text(node)} by itself, which holds {values.dtype} values, "
                        "not true and false; compare it with something"
                    )
                return values.to_numpy(dtype=np.bool_)
        self._refuse_node(node)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> _Mask:
        if isinstance(op, ast.In | ast.NotIn):
            is_in = self._is_in(left, right)
            return ~is_in if isinstance(op, ast.NotIn) else is_in
        kind = type(op)
        if kind not in _COMPARE:
            self._refuse("found is, which is written ==")
        if not _is_column(left):
            left, right, kind = right, left, _MIRRORED.get(kind, kind)
        if not _is_column(left):
            for side in (right, left):
                self._constant(side)
            self._refuse(
                f"found {self._text(right)} and {self._text(left)}, neither of them a column"
            )
        values = self._column(left)
        other: Any
        if _is_column(right):
            other = self._column(right)
            if _is_number(values) != _is_number(other):
                self._refuse(
                    f"found {self._text(left)} ({values.dtype}) compared with {self._text(right)} "
                    f"({other.dtype}): numbers compare with numbers, and texts with texts"
                )
            other = _comparable(other)
        else:
            other = self._converted(left, values, self._constant(right))
        try:
            return _as_mask(_applied(_COMPARE[kind], _comparable(values), other), kind is ast.NotEq)
        except TypeError:
            self._refuse(f"{self._text(left)} and {self._text(right)} cannot be compared")

    def _is_in(self, left: ast.expr, right: ast.expr) -> _Mask:
        if not _is_column(left):
            self._constant(left)
            self._refuse(f"found {self._text(left)} before in, expected a column")
        if not isinstance(right, ast.List | ast.Tuple | ast.Set):
            self._refuse(f"found {self._text(right)} after in, expected a list such as ['a', 'b']")
        values = self._column(left)
        constants = [
            self._converted(left, values, self._constant(element)) for element in right.elts
        ]
        comparable = _comparable(values)
        masks = [_as_mask(_applied(operator.eq, comparable, x), False) for x in constants]
        return np.stack(masks).any(axis=0) if masks else np.zeros(len(values), dtype=np.bool_)

    def _column(self, node: ast.expr) -> "pd.Series[Any]":
        """Return a column, or a number times one."""
        if isinstance(node, ast.BinOp):
            factor, of = node.left, node.right
            if isinstance(factor, ast.Name):
                factor, of = of, factor
            multiple, values = self._constant(factor), self._column(of)
            if isinstance(multiple, str) or not _is_number(values):
                self._refuse(f"found {self._text(node)}, expected a number times numbers")
            return _comparable(values).astype(np.float64) * multiple
        assert isinstance(node, ast.Name)
        name = self._backticked.get(node.id, node.id)
        positions = self._positions.get(name, [])
        if len(positions) > 1:
            self._refuse(f"found {len(positions)} columns called {name!r}")
        if not positions:
            known = list(self._positions)
            renamed = f", which was read as {self._read_as[name]}" if name in self._read_as else ""
            self._refuse(
                f"found no column {quoted(name)}{renamed}; the columns are {listed(known)}."
                f"{did_you_mean(name, known)} A text goes in quotes",
                allowed=False,
            )
        return self._table.iloc[:, positions[0]]

    def _constant(self, node: ast.expr) -> float | str:
        match node:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=value)):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    return self._finite(-value if isinstance(sign, ast.USub) else value)
            case ast.Constant(value=str(value)):
                return value
            case ast.Constant(value=int(value) | float(value)):
                return self._finite(value)
        self._refuse_node(node)

    def _finite(self, value: float) -> float:
        # Integers are not converted: an identifier may have more digits than a float.
        if abs(value) > 1e308 or not math.isfinite(value):
            self._refuse("found a number beyond 1e308")
        return value

    def _converted(
        self, column: ast.expr, values: "pd.Series[Any]", constant: float | str
    ) -> float | str | pd.Timestamp:
        """Return a constant converted to the type of a column."""
        name = self._text(column)
        if _is_number(values):
            if isinstance(constant, str):
                quantity: Quantity = "compute" if name == "compute" else "count"
                try:
                    return parse_amount(constant, quantity, f"{name} compared with text")
                except AmountError as error:
                    self._refuse(str(error).rstrip("."), allowed=False)
            return constant
        if not isinstance(constant, str):
            self._refuse(f"found the number {constant!r} compared with {name}, which holds text")
        if _is_time(values):
            try:
                zone = values.dt.tz
                time = pd.Timestamp(constant)
                return time.tz_localize(zone) if zone and time.tz is None else time
            except (ValueError, TypeError):
                self._refuse(f"found {constant!r} compared with {name}, which holds times")
        return constant

    def _text(self, node: ast.AST) -> str:
        try:
            return self._shown(ast.unparse(node))
        except (RecursionError, ValueError):
            return "something nested too deep"

    def _shown(self, text: str) -> str:
        for word, name in self._backticked.items():
            text = text.replace(word, f"`{name}`")
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

    def _refuse_node(self, node: ast.AST) -> NoReturn:
        what = _IN_WORDS.get(type(node), "something else")
        self._refuse(f"found {what}: {self._text(node)}")

    def _refuse(self, found: str, *, allowed: bool = True) -> NoReturn:
        rest = f"; expected {ALLOWED}" if allowed else ""
        raise RunsError(f"the condition {quoted(self._condition, _SHOWN)}: {found}{rest}.")


def _is_column(node: ast.expr) -> bool:
    """Return whether a node is a column or a multiple of one."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return isinstance(node.left, ast.Name) != isinstance(node.right, ast.Name)
    return isinstance(node, ast.Name)


def _applied(compare: Callable[[Any, Any], Any], values: Any, other: Any) -> Any:
    """Compare values with a constant that may overflow their integer type."""
    try:
        return compare(values, other)
    except OverflowError:
        return compare(values, float(other))


def _as_mask(compared: Any, of_missing: bool) -> _Mask:
    """Return a comparison as a mask, with `of_missing` for missing values."""
    mask = pd.array(compared, dtype="boolean")
    return np.asarray(mask.to_numpy(dtype=np.bool_, na_value=of_missing), dtype=np.bool_)


def _is_number(values: "pd.Series[Any]") -> bool:
    if values.dtype.kind in "iufb":
        return True
    present = values.dropna()
    return (
        values.dtype.kind == "O"
        and len(present) > 0
        and all(isinstance(value, Real) for value in present)
    )


def _is_time(values: "pd.Series[Any]") -> bool:
    return values.dtype.kind == "M"


def _comparable(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column of numbers or times unchanged, and any other as texts."""
    if _is_time(values) or values.dtype.kind in "iufb":
        return values.reset_index(drop=True)
    if _is_number(values):
        return pd.Series([_as_float(value) for value in values], dtype=np.float64)
    texts = [None if pd.isna(value) is True else str(value) for value in values]
    return pd.Series(texts, dtype="string")


def _as_float(value: Any) -> float:
    try:
        return math.nan if pd.isna(value) else float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
