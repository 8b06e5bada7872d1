"""Check: one thing that was looked at before numbers are shown, and what it gave."""

from dataclasses import dataclass
from typing import Any, Literal

type Status = Literal["passed", "remark", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name
        What was checked.
    status
        ``"passed"``; ``"remark"``, which deserves a look; or ``"failed"``, which says that the
        numbers are not to be used.
    statistic
        The number that was judged; NaN where there is none.
    sentence
        What it says.
    """

    name: str
    status: Status
    statistic: float
    sentence: str

    @property
    def failed(self) -> bool:
        """Whether it says that the numbers are not to be used."""
        return self.status == "failed"

    def to_dict(self) -> dict[str, Any]:
        """Return the check as a record, with None for a statistic that there is not."""
        missing = self.statistic != self.statistic
        return {
            "name": self.name,
            "status": self.status,
            "statistic": None if missing else float(self.statistic),
            "sentence": self.sentence,
        }


def verdict(*, failed: bool, remark: bool = False) -> Status:
    """Return the status of a check that failed, or deserves a remark, or neither."""
    return "failed" if failed else "remark" if remark else "passed"


def remark(name: str, sentence: str) -> Check:
    """Return a remark of which there is no number."""
    return Check(name=name, status="remark", statistic=float("nan"), sentence=sentence)
