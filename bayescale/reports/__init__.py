"""The posterior report: facts gathered once, written as a page, as Markdown or as JSON."""

from bayescale.reports.report import report

__all__ = ["report"]
