"""One report of the shared fit, as a page and as JSON."""

import json

import pytest
from reports.page import BUDGETS, Page

import bayescale as bs


@pytest.fixture(scope="session")
def source(fit, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert bs.report(fit, path, budget=BUDGETS) == path
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(source) -> Page:
    return Page(source)


@pytest.fixture(scope="session")
def record(fit, tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("report") / "report.json"
    bs.report(fit, path, budget=BUDGETS)
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def plan(fit) -> bs.Allocation:
    return bs.allocate(fit, budget=BUDGETS)
