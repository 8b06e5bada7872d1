"""The page in Streamlit's test client, and in a browser."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from contract.fits import few_draws, fit_of_card

import bayescale as bs
from bayescale.cli.main import main
from bayescale.costs import Cluster
from bayescale.explore import question
from bayescale.explore.question import UTILISATION, Question

PAGE = Path(question.__file__).with_name("page.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CLUSTER = Cluster(n_gpus=1024, peak="H100-SXM", utilisation=UTILISATION, price=2.0)
GIVEN = {
    "groups": {},
    "new_levels": [],
    "fixed": {},
    "budget": 1e22,
    "plans": ["7B,2T"],
    "prob": 0.9,
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:THIS FIT FAILED ITS GATES"),
    # The test client of Streamlit does not remove its cache folder.
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("explore") / "fit.nc"
    few_draws(fit_of_card("chinchilla")).save(path)
    return str(path)


def plain(markdown: str) -> str:
    return markdown.replace("\\", "").replace("**", "")


def answer(path: str, budget: float, **terms) -> bs.Decision:
    question = Question(budget=budget, cluster=CLUSTER, plans="7B,2T", **terms)
    return question.answer(bs.load_fit(path))


@pytest.fixture
def opened(saved, monkeypatch):
    """Return the page in Streamlit's test client."""
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.setattr(sys, "argv", ["page", json.dumps({"fit": saved, **GIVEN})])
    return testing.AppTest.from_file(PAGE, default_timeout=120).run()


def test_the_page_says_what_the_library_says(opened, saved):
    assert not opened.exception
    assert plain(opened.markdown[0].value) == answer(saved, 1e22).sentences[0]
    moved = opened.select_slider(key="budget").set_value(1e23).run()
    made = answer(saved, 1e23)
    assert plain(moved.markdown[0].value) == made.sentences[0]
    shown = moved.table[0].value
    assert shown.map(plain).to_numpy().tolist() == made.text_table().T.to_numpy().tolist()
    assert [plain(x.value) for x in moved.caption[2:-1]] == list(map(plain, made.caveats))
    moved = moved.select_slider(key="serving").set_value(1e13).run()
    assert plain(moved.markdown[0].value) == answer(saved, 1e23, serving_tokens=1e13).sentences[0]


def test_what_cannot_be_read_is_a_sentence_on_the_page(opened):
    wrong = opened.text_input(key="plans").set_value("7B").run()
    assert not wrong.exception
    assert "expected size and tokens such as 7B,2T" in plain(wrong.error[0].value)
    certain = wrong.text_input(key="plans").set_value("").run()
    certain = certain.radio(key="law").set_value("its median, as if known").run()
    assert certain.caption[-1].value == "From one set of coefficients."


def test_the_command_refuses_before_there_is_a_page(saved, tmp_path, capsys, monkeypatch):
    served = []
    monkeypatch.setattr("bayescale.explore.serve.serve", lambda *a, **b: served.append((a, b)))
    assert main(["explore", saved, "--json"]) == 2
    assert "for JSON use decide" in capsys.readouterr().err
    assert main(["explore", saved, "--plan", "7B"]) == 2
    path = tmp_path / "curve.nc"
    few_draws(fit_of_card("power-law")).save(path)
    assert main(["explore", str(path)]) == 2
    assert "The law power-law is one of" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "streamlit", None)
    assert main(["explore", saved]) == 2
    assert "pip install 'bayescale[explore]'" in capsys.readouterr().err
    assert not served


def test_the_options_reach_the_page(saved, capsys, monkeypatch):
    pytest.importorskip("streamlit")
    served = []
    monkeypatch.setattr("bayescale.explore.serve.serve", lambda fit, **to: served.append((fit, to)))
    words = ["--budget", "3e22", "--plan", "a=7B,2T", "--prob", "0.8", "--port", "8765"]
    assert main(["explore", saved, *words, "--browser"]) == 0
    (fit, to), out = served[0], capsys.readouterr().out
    assert fit == saved and out.startswith("explore: http://127.0.0.1:8765 (Ctrl-C ends it)")
    assert to == {
        "groups": {},
        "new_levels": [],
        "fixed": {},
        "budget": 3e22,
        "plans": ["a=7B,2T"],
        "prob": 0.8,
        "port": 8765,
        "browser": True,
    }


def test_a_taken_port_is_passed_over():
    from bayescale.explore.serve import HOST, free_port

    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_in_a_browser(saved, tmp_path):
    """It opens, answers a change like the library, makes no external requests, and ends."""
    pytest.importorskip("streamlit")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser on the PATH ({', '.join(BROWSERS)})")
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "bayescale", "explore", saved, "--budget", "1e22"]
    served = subprocess.Popen(
        [*command, "--plan", "7B,2T"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        url = re.search(r"http://127\.0\.0\.1:(\d+)", served.stdout.readline())
        with sync_playwright() as playwright:
            started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = started.new_page(viewport={"width": 1280, "height": 900})
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            _open(page, url[0])
            page.get_by_text("From all").wait_for(timeout=180_000)
            assert page.get_by_text(answer(saved, 1e22).sentences[0]).count() == 1
            page.get_by_role("slider").first.press("ArrowRight")
            page.get_by_text(answer(saved, 1.5e22).sentences[0]).wait_for(timeout=180_000)
            for width in (390, 1280, 1920):
                page.set_viewport_size({"width": width, "height": 900})
                page.wait_for_timeout(300)
                assert page.evaluate(CLIPPED) == []
                # The decision is on the first screen, above the sliders on a phone too.
                made = page.get_by_text(answer(saved, 1.5e22).sentences[0]).bounding_box()
                assert (
                    made["y"] + made["height"]
                    < page.get_by_role("slider").first.bounding_box()["y"]
                )
            assert all(x.startswith((url[0], "data:", "blob:", "ws://127.")) for x in asked)
            started.close()
        with socket.socket() as outside:
            outside.settimeout(2)
            others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
            for address in (x for x in others if ":" not in x and not x.startswith("127.")):
                assert outside.connect_ex((address, int(url[1]))) != 0
        served.send_signal(signal.SIGINT)
        assert served.wait(timeout=60) == 0
        assert "Traceback" not in served.stdout.read()
    finally:
        served.kill()
        served.wait()
        served.stdout.close()


def _open(page, url: str) -> None:
    """Open the page, which is ready shortly after the command prints its address."""
    from playwright.sync_api import Error

    for _ in range(100):
        try:
            page.goto(url)
            return
        except Error:
            page.wait_for_timeout(300)
    raise AssertionError(f"{url} did not answer")


CLIPPED = """() => [...document.querySelectorAll('[data-testid="stTable"] td, h3, p, label')]
    .filter(x => x.scrollWidth > x.clientWidth + 1 && getComputedStyle(x).display !== 'inline')
    .map(x => x.textContent)"""
"""Texts that are wider than their container."""
