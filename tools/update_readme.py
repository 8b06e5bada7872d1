"""Put the demo's figure and table into the README, between their markers."""

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import bayescale as bs

ROOT = Path(__file__).parents[1]
BUDGETS = [1e21, 5.76e23, 1e25]


def main() -> None:
    fit = bs.load_fit(ROOT / "demo" / "chinchilla.nc")
    if not fit.diagnostics.ok:
        raise SystemExit(fit.diagnostics.status)
    canvas = Figure(figsize=(7.2, 4.4), layout="constrained")
    bs.plots.optimal_size(fit, np.array(BUDGETS), canvas.subplots())
    canvas.savefig(ROOT / "docs" / "images" / "n_opt.png", dpi=120)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    table = markdown(bs.allocate(fit, budget=BUDGETS))
    pattern = r"(<!-- demo table -->\n).*?(<!-- end -->)"
    text, count = re.subn(pattern, lambda m: m[1] + table + "\n" + m[2], text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit("README.md: the markers of the demo table are missing.")
    readme.write_text(text, encoding="utf-8")


def markdown(plan: bs.Allocation) -> str:
    table = plan.text_table().reset_index()
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table.to_numpy()]
    head = "| " + " | ".join(map(str, table.columns)) + " |"
    return "\n".join([head, "|" + " --- |" * table.shape[1], *lines])


if __name__ == "__main__":
    main()
