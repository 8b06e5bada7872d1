"""Result: the base class of results, for printing, notebooks and JSON."""

from abc import ABC, abstractmethod
from typing import Any

import pandas as pd

from bayescale._io import plain
from bayescale.posterior.diagnostics import FAILED
from bayescale.posterior.shown import Shown


class Result(Shown, ABC):
    """A result with a headline, caveats, sentences, a table and a figure.

    Printed are sentences, caveats and table, then the headline, which states from what they are
    computed; if checks failed, the headline comes first. Notebooks show the figure too,
    which `plot` draws, and `to_record` returns the rest in JSON types.
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
        >>> plan = bs.allocate(bs.published("besiroglu2024"), budget="5.76e23")
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

    @property
    def failed(self) -> bool:
        """Whether the checks failed, with which the headline then begins."""
        return self.headline.startswith(FAILED)

    @property
    def opening(self) -> str:
        """The headline where it is read first: where checks failed."""
        return self.headline if self.failed else ""

    @property
    def closing(self) -> str:
        """The headline where it comes last, after the answer: where all checks passed."""
        return "" if self.failed else self.headline

    def __str__(self) -> str:
        caveats = [f"- {caveat}" for caveat in self.caveats]
        said = (self.opening, *self.sentences, *caveats, self.text_table().to_string())
        return "\n".join(filter(None, (*said, self.closing)))

    def __repr__(self) -> str:
        return str(self)
