"""The page of a report as a browser shows it, to every reader: small, wide, dark, on paper."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from contract.fits import few_draws, fit_of_card
from playwright.sync_api import Browser, Page, sync_playwright

import bayescale as bs
from bayescale.posterior.protocol import Posterior
from bayescale.units import format_compute, format_count, format_number

BUDGETS = ["1e21", "5.76e23", "1e25"]
PHONE, DESKTOP, WIDE = (360, 740), (1280, 800), (1920, 1080)
SCHEMES = ("light", "dark")
EVIL = '</script><script>document.title="broken"</script><img src=x onerror=alert(1)>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

pytestmark = pytest.mark.timeout(120)


@dataclass
class Watched:
    """A page, and everything that it said or asked for while it was open."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser on the PATH ({', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        # As root, in a container, Chromium has no sandbox to start.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(fit, tmp_path_factory) -> Path:
    return bs.report(fit, tmp_path_factory.mktemp("page") / "report.html", budget=BUDGETS)


@pytest.fixture
def show(browser) -> Iterator[Callable[..., Watched]]:
    """Return what opens a file as a reader with such a screen and such settings."""
    contexts = []

    def opened(path: Path, size: tuple[int, int] = DESKTOP, **settings: object) -> Watched:
        width, height = size
        # The policy of the page would keep out the checker of accessibility as well.
        context = browser.new_context(
            viewport={"width": width, "height": height}, bypass_csp=True, **settings
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.on("console", lambda message: watched.said.append(message.text))
        watched.page.on("pageerror", lambda error: watched.said.append(str(error)))
        watched.page.on("dialog", lambda dialog: watched.said.append(dialog.message))
        watched.page.on("request", lambda request: watched.asked.append(request.url))
        watched.page.goto(path.as_uri())
        return watched

    yield opened
    for context in contexts:
        context.close()


def quiet(watched: Watched, path: Path) -> bool:
    """Whether the page reported nothing and asked for nothing but itself."""
    outside = [url for url in watched.asked if not url.startswith("data:")]
    return watched.said == [] and outside == [path.as_uri()]


@pytest.mark.parametrize("size", [PHONE, DESKTOP, WIDE])
def test_the_page_is_shown_whole_and_asks_for_nothing(show, report, size):
    seen = show(report, size)
    page = seen.page
    assert quiet(seen, report)
    assert page.title() == "chinchilla: compute-optimal plans"
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] == widths[1], "the page scrolls sideways"
    drawn = page.evaluate("[...document.images].map((image) => image.naturalWidth > 100)")
    assert len(drawn) > 8 and all(drawn)
    # The answer to the first budget is whole on the first screen.
    box = page.locator(".answer").first.bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] < size[1]
    page.locator("summary").click()
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth)"
        ".map((e) => e.getAttribute('aria-label'))"
    )
    assert cut == []


CUT_OFF = """
    [...document.querySelectorAll('.scroll, td, th')]
        .filter((e) => e.getBoundingClientRect().width && e.scrollWidth > e.clientWidth + 1)
        .map((e) => e.textContent.slice(0, 40))
"""
"""Cells and tables of which a part is hidden until a reader scrolls."""

OTHER_KINDS: dict[str, Callable[[], Posterior]] = {
    "an average of laws": lambda: bs.model_average(
        {name: few_draws(fit_of_card("chinchilla")) for name in ("first", "second")},
        {"first": 0.4, "second": 0.6},
    ),
    "pooled": lambda: few_draws(fit_of_card("chinchilla-pooled")),
    "one variable": lambda: few_draws(fit_of_card("power-law")),
    "a mixture": lambda: few_draws(fit_of_card("data-mixing-3")),
    "a critical batch": lambda: few_draws(fit_of_card("critical-batch")),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_no_cell_of_any_kind_of_report_is_cut_off(show, kind, tmp_path):
    source = OTHER_KINDS[kind]()
    budget = ["1e22"] if source.law.splits_compute else None
    path = bs.report(source, tmp_path / "report.html", budget=budget, progress=False)
    for size in (PHONE, DESKTOP, WIDE):
        page = show(path, size).page
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_page_is_accessible(show, report, size, scheme):
    page = show(report, size, color_scheme=scheme).page
    page.locator("summary").click()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("light", ["amber", "red"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_light_that_is_not_green_is_accessible(show, report, scheme, light):
    page = show(report, color_scheme=scheme).page
    page.evaluate(f"document.querySelector('.status').className = 'status {light}'")
    found = Axe().run(page, context=".status")
    assert found.violations_count == 0, found.generate_report()


def test_on_paper_the_control_is_a_table(show, report):
    page = show(report).page
    page.emulate_media(media="print")
    assert not page.locator("#budget").is_visible()
    assert page.locator("#budget-said").is_visible()
    ink = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ink == "rgb(255, 255, 255)"


def test_without_a_script_a_table_stands_in(show, report):
    page = show(report, java_script_enabled=False).page
    assert not page.locator("#budget-control").is_visible()
    assert page.locator("#budget-listed table").is_visible()


def test_a_keyboard_moves_the_budget(show, report):
    page = show(report).page
    slider, said = page.locator("#budget"), page.locator("#budget-said")
    slider.focus()
    texts = [said.inner_text()]
    for key in ("Home", "ArrowRight", "PageUp", "End"):
        slider.press(key)
        texts.append(said.inner_text())
        assert slider.get_attribute("aria-valuetext") == texts[-1]
    assert len(set(texts)) == len(texts)
    # What moves is seen as it moves.
    assert said.bounding_box()["y"] - slider.bounding_box()["y"] < DESKTOP[1] / 2


def cells_of(page: Page) -> list[str]:
    return page.locator("[data-quantity]").all_inner_texts()


def moved(page: Page, value: int) -> list[str]:
    page.locator("#budget").evaluate(
        "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input')); }", value
    )
    return cells_of(page)


def test_a_button_shows_an_asked_budget(show, report, fit):
    seen = show(report)
    page = seen.page
    plan = bs.allocate(fit, budget=BUDGETS)
    text = plan.text_table(0.9)
    for i, budget in enumerate(plan.budgets):
        page.get_by_role("button", name=format_compute(budget)).click()
        assert page.locator("#budget-said").inner_text().startswith(format_compute(budget) + ", ")
        middle, _, wide, tokens, *_ = cells_of(page)
        low, high = wide.split(" to ")
        assert f"{middle} [{low}, {high}]" == text["N_opt"].iloc[i]
        assert tokens == format_count(float(plan.draws["d_opt"][..., i].median()))
    assert quiet(seen, report)


def test_the_control_moves_the_answer(show, report, fit):
    page = show(report).page
    grid = json.loads(page.locator("#budget-data").inner_text())
    nodes, middle = np.array(grid["budget"]), grid["quantiles"].index(0.5)
    styles = {"n_opt": format_count, "d_opt": format_count, "tokens_per_param": format_number}
    for value in (0, 57, 211, 333, 400):
        cells = moved(page, value)
        budget = float(np.exp(np.interp(value / 400, [0, 1], np.log(nodes[[0, -1]]))))
        draws = bs.allocate(fit, budget=budget).draws
        for place, (name, style) in enumerate(styles.items()):
            row = cells[3 * place : 3 * place + 3]
            found = [amount(row[0]), *map(amount, row[2].split(" to "))]
            ends = draws[name].quantile([0.5, 0.05, 0.95], ("chain", "draw")).to_numpy().ravel()
            # Three digits are printed, and lines in logarithms are as near between the nodes.
            np.testing.assert_allclose(found, ends, rtol=8e-3)
            line = np.interp(np.log(budget), np.log(nodes), np.log(grid[name][middle]))
            assert row[0] == style(float(np.exp(line)))


def amount(text: str) -> float:
    scale = {"T": 1e12, "B": 1e9, "M": 1e6, "K": 1e3}
    plain = text.replace(",", "")
    return float(plain[:-1]) * scale[plain[-1]] if plain[-1] in scale else float(plain)


def test_the_control_says_where_there_is_no_optimum(show, report, tmp_path):
    source = report.read_text(encoding="utf-8")
    pattern = r'(id="budget-data">)(.*?)(</script>)'
    grid = json.loads(re.search(pattern, source)[2])
    for name in ("n_opt", "d_opt", "tokens_per_param", "loss_plan", "loss_run"):
        for values in grid[name]:
            values[-1] = None
    grid["no_optimum"][-1] = 1.0
    path = tmp_path / "none.html"
    text = re.sub(pattern, lambda found: found[1] + json.dumps(grid) + found[3], source)
    path.write_text(text, encoding="utf-8")
    seen = show(path)
    assert "no optimum" not in moved(seen.page, 100)
    assert set(moved(seen.page, 400)) == {"no optimum"}
    said = seen.page.locator("#budget-said").inner_text()
    assert "100 % of the draws have no optimum there" in said
    assert quiet(seen, path)


def test_texts_from_users_run_nothing(show, fit, tmp_path):
    runs = bs.Runs(fit.runs.table, EVIL, (EVIL,))
    odd = bs.Fit(fit.model, runs, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)
    path = bs.report(odd, tmp_path / "odd.html", budget=1e21, plans={EVIL: ("70B", "1.4T")})
    seen = show(path)
    assert quiet(seen, path)
    assert seen.page.title().startswith(EVIL)
    assert EVIL in seen.page.locator("h1").inner_text()
