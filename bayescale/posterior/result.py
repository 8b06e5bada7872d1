"""Result: how all that answers a question is printed, shown in notebooks and recorded."""

from abc import ABC, abstractmethod
from html import escape
from typing import Any

import pandas as pd

from bayescale._plain import plain


class Result(ABC):
    """An answer: a headline, how far it may be believed, what it says, and a table.

    Printed, it is one after the other; in a notebook the same as HTML; and `to_record` has it for
    JSON.
    """

    @property
    def headline(self) -> str:
        """What was asked of what, led by the failure if a fit did not pass its checks."""
        return ""

    @property
    def caveats(self) -> tuple[str, ...]:
        """How far the answer may be believed, in sentences."""
        return ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer in words."""
        return ()

    @abstractmethod
    def text_table(self) -> pd.DataFrame:
        """Return the answer as a table that people read."""

    def to_record(self) -> dict[str, Any]:
        """Return headline, caveats, sentences and the rows of the table, as JSON holds them.

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
