import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayescale as bs
from bayescale._io import whole_file
from bayescale.cli.main import main
from bayescale.data.netcdf import seal
from bayescale.errors import FitFileError


@pytest.fixture(scope="module")
def saved(fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "fit.nc"
    fit.save(path)
    return path


def copy_with(saved, tmp_path, **attributes):
    """Return a file with changed content and a matching digest."""
    tree = xr.load_datatree(saved, engine="h5netcdf")
    tree.attrs |= attributes
    path = tmp_path / "changed.nc"
    path.write_bytes(seal(bytes(tree.to_netcdf(engine="h5netcdf"))))
    return path


def test_loads_back_to_the_same_fit(fit, saved):
    back = bs.load_fit(saved, law="chinchilla")
    assert back.posterior.identical(fit.posterior)
    assert back.sample_stats.identical(fit.sample_stats)
    assert back.model == fit.model
    assert back.scale == fit.scale
    assert back.provenance == fit.provenance
    assert back.runs.fingerprint == fit.runs.fingerprint
    assert back.runs.notes == fit.runs.notes
    assert back.runs.card == fit.runs.card
    pd.testing.assert_frame_equal(back.runs.table, fit.runs.table, check_dtype=False)
    pd.testing.assert_frame_equal(back.summary(), fit.summary())
    budgets = [1e21, 1e25]
    one, two = bs.allocate(fit, budget=budgets), bs.allocate(back, budget=budgets)
    assert one.draws.identical(two.draws)


def test_runs_with_texts_and_gaps_survive(fit, tmp_path):
    table = fit.runs.table.assign(
        comment=["=cmd|' /C calc'!A0", None, *['é, "quoted"\n'] * 238], steps=[np.nan, *range(239)]
    )
    runs = bs.Runs(table, "odd <name>", ("a note",))
    odd = bs.Fit(fit.model, runs, fit.scale, fit.posterior, fit.sample_stats, fit.provenance)
    odd.save(tmp_path / "odd.nc")
    back = bs.load_fit(tmp_path / "odd.nc").runs
    assert back.table["comment"][0] == "=cmd|' /C calc'!A0"
    assert back.table["comment"][1] == ""
    assert np.isnan(back.table["steps"][0])
    assert back.name == "odd <name>"


def test_another_law_is_refused(saved):
    with pytest.raises(FitFileError, match="a fit of the law chinchilla, expected kaplan-nd"):
        bs.load_fit(saved, law="kaplan-nd")
    with pytest.raises(bs.UnknownNameError, match="no law called 'kaplan'"):
        bs.load_fit(saved, law="kaplan")


def test_a_card_that_does_not_fit_the_draws_is_refused(saved, tmp_path):
    card = json.dumps(bs.load_model("kaplan-nd").to_dict())
    with pytest.raises(FitFileError, match="but the law kaplan-nd has"):
        bs.load_fit(copy_with(saved, tmp_path, model=card))
    unknown = json.dumps({**bs.load_model("chinchilla").to_dict(), "law": "of-the-jungle"})
    with pytest.raises(FitFileError, match="its card is not valid.*of-the-jungle"):
        bs.load_fit(copy_with(saved, tmp_path, model=unknown))


def test_changed_runs_and_other_formats_are_refused(saved, tmp_path, fit):
    provenance = json.dumps({**fit.provenance, "fingerprint": "0" * 64})
    with pytest.raises(FitFileError, match="do not have the recorded fingerprint"):
        bs.load_fit(copy_with(saved, tmp_path, provenance=provenance))
    with pytest.raises(FitFileError, match="found format 99"):
        bs.load_fit(copy_with(saved, tmp_path, bayescale_format=99))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(saved, tmp_path, share):
    whole = saved.read_bytes()
    path = tmp_path / "cut.nc"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FitFileError, match="not a saved fit of bayescale, or damaged or cut short"):
        bs.load_fit(path)


def test_any_damage_is_noticed(saved, tmp_path):
    whole = saved.read_bytes()
    rng = np.random.default_rng(6)
    for place in (0, len(whole) - 1, *rng.integers(len(whole), size=25)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x5A
        (tmp_path / "damaged.nc").write_bytes(damaged)
        with pytest.raises(FitFileError, match="damaged or cut short"):
            bs.load_fit(tmp_path / "damaged.nc")


def test_others_can_read_the_file_as_plain_netcdf(saved, fit):
    tree = xr.load_datatree(saved, engine="h5netcdf")
    assert set(tree.children) == {"posterior", "sample_stats", "runs"}
    np.testing.assert_array_equal(tree["posterior"]["alpha"], fit.posterior["alpha"])


def test_a_damaged_file_is_one_sentence_on_the_command_line(saved, tmp_path, capfd):
    (tmp_path / "cut.nc").write_bytes(saved.read_bytes()[:100_000])
    assert main(["allocate", str(tmp_path / "cut.nc"), "--budget", "1e21"]) == 2
    # Of the whole process: HDF5 is a C library, which would write to its standard error.
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.nc").write_text("not netCDF", encoding="utf-8")
    with pytest.raises(FitFileError, match="not a saved fit of bayescale"):
        bs.load_fit(tmp_path / "text.nc")
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(FitFileError, match="not a saved fit of bayescale"):
        bs.load_fit(tmp_path / "other.nc")
    with pytest.raises(FitFileError, match="no such file"):
        bs.load_fit(tmp_path / "nothing.nc")


def test_a_failed_save_leaves_the_older_file(fit, saved, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    path.write_bytes(saved.read_bytes())
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        fit.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_gives_one_error(saved):
    """Run in a subprocess, since HDF5 may end it with a segmentation fault."""
    code = (
        "import sys, bayescale as bs, bayescale.data.netcdf as s; from contextlib import contextmanager; "
        "from pathlib import Path; fit = bs.load_fit(sys.argv[1]); "
        "s.whole_file = contextmanager(lambda path: (yield Path('/dev/full'))); fit.save('x.nc')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, saved], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "OSError: [Errno 28] No space left on device"
    assert "HDF5" not in done.stderr
    assert "h5py" not in done.stderr


def test_places_that_cannot_be_written(fit, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        fit.save(tmp_path / "no" / "fit.nc")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        fit.save(tmp_path)


def test_files_are_written_atomically(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(ZeroDivisionError), whole_file(path) as part:
        part.write_text(f"half {1 / 0}", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as part:
        part.write_text("whole", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "whole"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.slow
def test_draws_are_identical_in_another_process(fit, saved):
    code = "import bayescale as bs, sys; f = bs.load_fit(sys.argv[1]); print(float(f.posterior['alpha'].sum()).hex())"
    out = subprocess.run(
        [sys.executable, "-c", code, saved], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == float(fit.posterior["alpha"].sum()).hex()
