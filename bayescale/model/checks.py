"""Check: the result of one check on a design or a fit."""

from dataclasses import dataclass
from typing import Any, Literal

type Status = Literal["passed", "remark", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name
        What was checked.
    status
        ``"passed"``; ``"remark"``, which deserves attention; or ``"failed"``, if the results must
        not be used.
    statistic
        The statistic that was judged; NaN where there is none.
    sentence
        The result in words.
    """

    name: str
    status: Status
    statistic: float
    sentence: str

    @property
    def failed(self) -> bool:
        """Whether the results must not be used."""
        return self.status == "failed"

    def to_dict(self) -> dict[str, Any]:
        """Return the check as a record, with None for a missing statistic."""
        missing = self.statistic != self.statistic
        return {
            "name": self.name,
            "status": self.status,
            "statistic": None if missing else float(self.statistic),
            "sentence": self.sentence,
        }


def verdict(*, failed: bool, remark: bool = False) -> Status:
    """Return the status of a check: failed, else a remark, else passed."""
    return "failed" if failed else "remark" if remark else "passed"


def remark(name: str, sentence: str) -> Check:
    """Return a remark without a statistic."""
    return Check(name=name, status="remark", statistic=float("nan"), sentence=sentence)
