"""The scores of held-out larger runs, as text that fits a terminal."""

from types import SimpleNamespace

import pandas as pd

from bayescale.cli.main import main


def test_scores_have_a_row_each_with_their_meaning(monkeypatch, capsys):
    table = pd.DataFrame(
        {"n_test": [6, 3], "coverage_90": [0.5, 1.0], "status": ["passed", "failed: R-hat"]},
        index=pd.MultiIndex.from_product([["chinchilla"], [1e20, 1e21]], names=["model", "cut"]),
    )
    monkeypatch.setattr(
        "bayescale.validation.leave_scale_out.leave_scale_out",
        lambda *_, **__: SimpleNamespace(table=table),
    )
    cuts = ("--cut", "1e20", "--cut", "1e21")
    assert main(["calibrate", "chinchilla", "chinchilla", *cuts, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "larger runs held out:"
    assert lines[1].split() == [
        *("score", "chinchilla", "below", "1e+20", "chinchilla", "below", "1e+21", "meaning"),
    ]
    assert lines[3].split()[:3] == ["coverage_90", "0.5", "1"]
    assert lines[3].endswith("share of runs inside the 90 % interval")
    assert lines[4:] == ["chinchilla below 1e+20: passed", "chinchilla below 1e+21: failed: R-hat"]
