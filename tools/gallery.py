"""Draw every figure of `bayescale.plots` with the code of its documentation."""

import hashlib
import io
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from doctest import DocTestParser
from pathlib import Path
from typing import Any

import matplotlib as mpl

import bayescale as bs

ROOT = Path(__file__).parents[1]
STORE = ROOT / "build" / "gallery"
"""Cached figures, by the digest of their code and of the package."""

OF_REFITS: Mapping[str, str] = {
    "scores": """
        import bayescale as bs

        options = {"draws": 200, "seed": 1, "progress": False}
        fits = {
            card: bs.fit("chinchilla", card, **options) for card in ("chinchilla", "kaplan-nd")
        }
        bs.plots.scores(bs.compare(fits, **options))
    """,
    "forest": """
        from dataclasses import replace
        import bayescale as bs

        pooled = bs.load_model("chinchilla-pooled")
        floors = tuple(part for part in pooled.pooling if part.of == "E")
        model = replace(pooled, id="floors", pooling=floors)
        fit = bs.fit("overtraining", model, seed=1, progress=False)
        bs.plots.forest(fit, budget="1e22")
    """,
    "multiverse": """
        import bayescale as bs
        from bayescale.sensitivity.choices import CHOICES

        found = bs.multiverse(
            "chinchilla",
            "chinchilla",
            budget="5.76e23",
            choices={"outliers": CHOICES["outliers"], "counting": CHOICES["counting"]},
            progress=False,
        )
        bs.plots.multiverse(found)
    """,
    "forecast_run": """
        import bayescale as bs
        import numpy as np, pandas as pd

        cosine = bs.Schedule.cosine(3e-4, 8_000, final=3e-5, warmup=500)
        longer = bs.Schedule.cosine(3e-4, 16_000, final=3e-5, warmup=500)
        step = np.arange(600, 8_001, 200)
        loss = 2.5 + 0.5 * cosine.area(step) ** -0.5 - 0.4 * cosine.annealing_area(step)
        table = pd.DataFrame({"step": step, "loss": loss, "run": "short"})
        found = bs.forecast_run(
            table,
            longer,
            run="long",
            to=[4_000, 8_000, 12_000, 16_000],
            schedules={"short": cosine},
            laws=["annealing"],
            seed=1,
            progress=False,
        )
        bs.plots.forecast_run(found)
    """,
    "forecast_by_floor": """
        import bayescale as bs

        found = bs.forecast_by_floor(
            "chinchilla",
            "chinchilla",
            floors=[1.75, 1.8, 1.85],
            budget="5.76e23",
            progress=False,
        )
        bs.plots.forecast_by_floor(found)
    """,
    "reconcile_exponents": """
        import bayescale as bs
        import numpy as np, pandas as pd

        size, tokens = np.meshgrid(np.geomspace(3e6, 3e9, 18), np.geomspace(1e8, 1e12, 60))
        size, tokens = size.ravel(), tokens.ravel()
        truth = bs.published("besiroglu2024").parameters
        loss = bs.law("chinchilla").evaluate(n_params=size, n_tokens=tokens, **truth)
        table = pd.DataFrame({"run": size.astype(str), "N": size, "D": tokens, "loss": loss})
        bs.plots.reconcile_exponents(bs.reconcile_exponents(bs.load_runs(table)))
    """,
}
"""Code of figures that need many refits, which is on their pages but not in their docstrings."""


def write_gallery(folder: Path) -> None:
    """Write the figure of each function, the file that its page includes, and the gallery."""
    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Gallery",
        "",
        "Each figure is drawn by the code on its page when this site is built.",
        "",
        ":::::{container} gallery",
    ]
    cached = _CachedFit(bs.fit)
    for name in bs.plots.__all__:
        code = code_of(name)
        (folder / f"{name}.svg").write_bytes(_stored(name, code, cached))
        shown = "" if name not in OF_REFITS else _block(code)
        picture = (
            f".. image:: /_generated/figures/{name}.svg\n   :alt: The figure that the code draws"
        )
        _write(folder / f"{name}.rst.inc", f"{shown}{picture}\n")
        summary = (getattr(bs.plots, name).__doc__ or "").strip().splitlines()[0]
        page = f"api/bayescale.plots.{name}.rst"
        lines += [f"[![{summary}](figures/{name}.svg)]({page})"]
        lines += [f"[`{name}`]({page}): {summary.removeprefix('Draw ')}", ""]
    _write(folder.parent / "gallery.md", "\n".join([*lines, ":::::", ""]))


def code_of(name: str) -> str:
    """Return the code that draws a figure: the example of its docstring, or of `OF_REFITS`."""
    if name in OF_REFITS:
        return re.sub(r"^ {8}", "", OF_REFITS[name], flags=re.MULTILINE).strip() + "\n"
    document = getattr(bs.plots, name).__doc__ or ""
    return "".join(example.source for example in DocTestParser().get_examples(document))


def _block(code: str) -> str:
    indented = "".join(f"   {line}".rstrip() + "\n" for line in code.splitlines())
    return f".. code-block:: python\n\n{indented}\n"


class _CachedFit:
    """`bayescale.fit` with a cache by runs, card and options."""

    def __init__(self, fit: Callable[..., bs.Fit]) -> None:
        self.fit, self.known = fit, {}

    def __call__(self, runs: Any, model: Any = None, **options: Any) -> bs.Fit:
        data = runs if isinstance(runs, str) else runs.fingerprint
        key = repr((data, model, options))
        if key not in self.known:
            self.known[key] = self.fit(runs, *([] if model is None else [model]), **options)
        return self.known[key]


def _stored(name: str, code: str, cached: _CachedFit) -> bytes:
    """Return the figure as SVG, from the cache if neither the code nor the package changed."""
    digest = hashlib.sha256(code.encode())
    for path in sorted((ROOT / "bayescale").rglob("*.py")):
        digest.update(path.read_bytes())
    kept = STORE / f"{name}-{digest.hexdigest()[:16]}.svg"
    if not kept.is_file():
        for old in STORE.glob(f"{name}-*.svg"):
            old.unlink()
        STORE.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(_drawn(code, cached))
    return kept.read_bytes()


def _drawn(code: str, cached: _CachedFit) -> bytes:
    import matplotlib.pyplot as plt

    original, content = bs.fit, io.BytesIO()
    bs.fit = cached
    try:
        with redirect_stdout(io.StringIO()):
            exec(compile(code, "example", "exec"), {})
        with mpl.rc_context({"svg.hashsalt": "bayescale"}):
            plt.gcf().savefig(content, format="svg", metadata={"Date": None})
    finally:
        bs.fit = original
        plt.close("all")
    return content.getvalue()


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_gallery(Path(sys.argv[1]) / "figures")
