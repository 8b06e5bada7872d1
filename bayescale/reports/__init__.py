"""The posterior report: facts gathered once, rendered as one self-contained page."""

from bayescale.reports.html import report

__all__ = ["report"]
