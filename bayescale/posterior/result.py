"""Result: the base class of results, for printing, notebooks and JSON."""

from abc import ABC, abstractmethod
from html import escape
from typing import Any

import pandas as pd

from bayescale._plain import plain


class Result(ABC):
    """A result with a headline, caveats, sentences and a table.

    These are printed in this order, rendered as HTML in notebooks, and returned for JSON by
    `to_record`.
    """

    @property
    def headline(self) -> str:
        """What was computed from which posterior, preceded by failed checks."""
        return ""

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences on the limitations of the result."""
        return ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences that state the result."""
        return ()

    @abstractmethod
    def text_table(self) -> pd.DataFrame:
        """Return the table of the result, formatted as text."""

    def to_record(self) -> dict[str, Any]:
        """Return headline, caveats, sentences and rows of the table, in JSON types.

        Examples
        --------
        >>> import bayescale as bs
        >>> plan = bs.allocate(bs.published("besiroglu2024"), compute="5.76e23")
        >>> plan.to_record()["table"][0]["N_opt"]
        '72.2B'
        """
        table = self.text_table().reset_index()
        return {
            "headline": self.headline,
            "caveats": list(self.caveats),
            "sentences": list(self.sentences),
            "table": plain(table.to_dict("records")),
        }

    def __str__(self) -> str:
        said = (self.headline, *self.caveats, *self.sentences)
        return "\n".join([*filter(None, said), self.text_table().to_string()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(text)}</p>" for text in (self.headline, *self.caveats) if text)
        points = "".join(f"<li>{escape(text)}</li>" for text in self.sentences)
        return f"{said}<ul>{points}</ul>{self.text_table().to_html()}"
