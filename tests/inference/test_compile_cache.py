"""Machine code cached between sessions: identical results, never stale, never fatal."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bayescale as bs
from bayescale.inference import compile_cache, private_files
from bayescale.inference.compile_cache import Density, folder, kept
from bayescale.inference.native import Code

PRINT_DENSITY = """
import sys
import numpy as np
from bayescale.inference.samplers import compiled_logp
from bayescale.model.card import load_model
compiled = compiled_logp(load_model("power-law"))
data = np.abs(np.random.default_rng(1).normal(size=(compiled.data_rows, 9)))
value, slope = compiled.log_density(compiled.start + 0.1, data)
print(value.hex(), *(x.hex() for x in slope), "pymc" in sys.modules)
"""


def fresh_session(cache) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", PRINT_DENSITY],
        env={**os.environ, "BAYESCALE_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not found.stderr
    return found.stdout.split()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def code() -> Density:
    """Return compiled code of a square function."""
    import numba
    from numba import types

    pointer = types.CPointer(types.double)

    @numba.cfunc(types.int64(types.uint64, pointer))
    def square(n, x):
        x[0] = x[0] * x[0]
        return 0

    return Density(("x",), Code.of(square), Code.of(square))


def squared(density: Density, value: float) -> float:
    import ctypes

    x = np.array([value])
    doubles = ctypes.POINTER(ctypes.c_double)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, doubles)(density.logp.address)
    call(1, x.ctypes.data_as(doubles))
    return float(x[0])


def refuse() -> Density:
    raise AssertionError("compiled though it was kept")


@pytest.mark.slow
def test_a_later_session_has_the_same_density_and_needs_no_compiler(tmp_path):
    *first, compiled = fresh_session(tmp_path)
    *second, loaded = fresh_session(tmp_path)
    assert first == second
    assert (compiled, loaded) == ("True", "False")
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_what_was_kept_is_found_and_calls_the_same_code(cache, code):
    kept("a square", lambda: code)
    found = kept("a square", refuse)
    assert found.order == ("x",)
    assert squared(found, 3.0) == 9.0


def test_cached_code_is_found_by_its_exact_key(cache, code, monkeypatch):
    kept("a square", lambda: code)
    with pytest.raises(AssertionError, match="though it was kept"):
        kept("another square", refuse)
    monkeypatch.setattr(compile_cache, "_IMPORTED", "another version of the package")
    with pytest.raises(AssertionError, match="though it was kept"):
        kept("a square", refuse)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "binary"])
def test_a_damaged_file_is_replaced(cache, code, damage, caplog):
    kept("a square", lambda: code)
    (path,) = cache.glob("*.json")
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "changed": whole[:-10] + b"0" + whole[-9:],
            "empty": b"",
            "binary": bytes(range(256)),
        }[damage]
    )
    assert squared(kept("a square", lambda: code), 2.0) == 4.0
    assert "is not used" in caplog.text
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_to_does_no_harm(tmp_path, monkeypatch, code):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert squared(kept("a square", lambda: code), 2.0) == 4.0


def test_cached_files_are_private(tmp_path, monkeypatch, code):
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path / "new" / "cache"))
    before = os.umask(0)
    try:
        kept("a square", lambda: code)
    finally:
        os.umask(before)
    (path,) = (tmp_path / "new" / "cache").glob("*.json")
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def _file_others_can_write(path):
    path.chmod(0o620)


def _folder_others_can_write(path):
    path.parent.chmod(0o777)


def _folder_of_a_group(path):
    path.parent.chmod(0o770)


def _folder_above_others_can_write(path):
    path.parent.parent.chmod(0o777)


def _sticky_above(path):
    path.parent.parent.chmod(0o1777)


def _link(path):
    path.rename(path.parent / "other")
    path.symlink_to("other")


def _pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


def _nothing(path):
    pass


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_nothing, True),
        (_sticky_above, True),
        (_file_others_can_write, False),
        (_folder_others_can_write, False),
        (_folder_of_a_group, False),
        (_folder_above_others_can_write, False),
        (_link, False),
        (_pipe, False),
    ],
)
def test_code_that_others_may_have_put_there_is_not_used(
    tmp_path, monkeypatch, code, caplog, change, found
):
    monkeypatch.setattr(compile_cache, "_reported", set())
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path / "above" / "cache"))
    kept("a square", lambda: code)
    (path,) = (tmp_path / "above" / "cache").glob("*.json")
    change(path)
    compiled = []
    assert squared(kept("a square", lambda: compiled.append(1) or code), 2.0) == 4.0
    assert bool(compiled) is not found
    assert bool(caplog.text) is not found


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
@pytest.mark.parametrize("of", ["the file", "the folder", "a folder above"])
def test_what_belongs_to_another_is_not_used(tmp_path, monkeypatch, code, caplog, of):
    monkeypatch.setattr(compile_cache, "_reported", set())
    monkeypatch.setenv("BAYESCALE_CACHE_DIR", str(tmp_path / "above" / "cache"))
    kept("a square", lambda: code)
    (path,) = (tmp_path / "above" / "cache").glob("*.json")
    places = {"the file": path, "the folder": path.parent, "a folder above": path.parent.parent}
    there, me = places[of].stat().st_ino, os.getuid()

    def owned(stat_of):
        def ask(*arguments, **options):
            found = stat_of(*arguments, **options)
            return _Owned(found, me + 1) if found.st_ino == there else found

        return ask

    monkeypatch.setattr(private_files.os, "fstat", owned(os.fstat))
    monkeypatch.setattr(private_files.Path, "stat", owned(Path.stat))
    compiled = []
    assert squared(kept("a square", lambda: compiled.append(1) or code), 2.0) == 4.0
    assert compiled
    assert "belongs to another user" in caplog.text


class _Owned:
    """The status of a file with another owner."""

    def __init__(self, found, owner):
        self._found, self.st_uid = found, owner

    def __getattr__(self, name):
        return getattr(self._found, name)


def test_a_system_without_owners_keeps_code_too(cache, code, monkeypatch):
    monkeypatch.delattr(os, "getuid", raising=False)
    kept("a square", lambda: code)
    assert squared(kept("a square", refuse), 3.0) == 9.0


def test_least_recently_used_files_are_deleted_first(cache, code, monkeypatch):
    monkeypatch.setattr(compile_cache, "_MOST", 2)
    for i, name in enumerate(("one", "two")):
        kept(name, lambda: code)
        newest = max(cache.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (i, i))
    kept("one", refuse)
    kept("three", lambda: code)
    assert len(list(cache.glob("*.json"))) == 2
    kept("one", refuse)
    with pytest.raises(AssertionError):
        kept("two", refuse)


def test_code_that_calls_python_is_not_kept(cache):
    import numba
    from numba import types

    @numba.njit
    def asked() -> int:
        with numba.objmode(found="int64"):
            found = 3
        return found

    @numba.cfunc(types.int64(types.int64))
    def ask(n):
        return n + asked()

    kept("asks", lambda: Density(("x",), Code.of(ask), Code.of(ask)))
    assert not list(cache.glob("*.json"))


@pytest.mark.parametrize("fastmath", [False, {"contract"}, {"reassoc", "nsz"}, True])
def test_code_whose_rounding_may_differ_is_not_kept(cache, fastmath):
    import numba
    from numba import types

    @numba.cfunc(types.double(types.double, types.double), fastmath=fastmath)
    def fused(x, y):
        return x * y + x

    kept("fused", lambda: Density(("x",), Code.of(fused), Code.of(fused)))
    assert bool(list(cache.glob("*.json"))) is not bool(fastmath)


def test_code_of_a_package_that_changed_since_it_was_imported_is_not_kept(cache, code, monkeypatch):
    """Sessions that import the other version would find it."""
    later = "a later version of the package"
    monkeypatch.setattr(compile_cache, "digest_of_modules", lambda names: later)
    assert squared(kept("a square", lambda: code), 3.0) == 9.0
    assert not list(cache.glob("*.json"))


def test_code_under_other_settings_of_numba_is_not_found(cache, code, monkeypatch):
    from numba.core import config

    kept("a square", lambda: code)
    monkeypatch.setattr(config, "USING_SVML", not config.USING_SVML)
    with pytest.raises(AssertionError, match="though it was kept"):
        kept("a square", refuse)


def test_another_filter_is_not_found_in_the_cache_of_pytensor(monkeypatch):
    """PyTensor finds cached code by the name of an operation and a version only."""
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key

    from bayescale.backend import filtering

    def key():
        return numba_funcify_and_cache_key(filtering.Filter(), node=None)[1]

    first = key()
    try:
        filtering.compile_plainly(filtering.Filter, lambda x, *others: (x + 1.0, x))
        assert key() != first
    finally:
        filtering.compile_plainly(filtering.Filter, filtering._forward)
    assert key() == first


@pytest.mark.slow
def test_a_law_of_ones_own_is_compiled_anew(cache):
    from bayescale.inference.samplers import compiled_logp

    number = bs.Parameter(meaning="a number", symbol="a")

    @bs.define_law("line-for-the-cache", source="this test")
    def line(compute, a: number, b: number):
        """Return a linear function of a power."""
        return a + b * compute**-0.1

    prior = bs.LogNormal(median=1.0, log_sd=1.0, why="for a test")
    noise = bs.load_model("power-law").noise
    model = bs.Model(law="line-for-the-cache", priors={"a": prior, "b": prior}, noise=noise)
    compiled_logp(model)
    assert not list(cache.glob("*.json"))


def test_the_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("BAYESCALE_CACHE_DIR", raising=False)
    assert folder().name == "bayescale"


def test_every_module_that_makes_a_graph_is_part_of_the_digest():
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, bayescale.backend.build, bayescale.inference.compile;"
            "print(*(name for name, module in sys.modules.items() if name.startswith('bayescale.')"
            # Packages have only a docstring.
            " and not hasattr(module, '__path__')))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    behind = compile_cache.modules_behind(compile_cache._COMPILED_BY)
    # The version is metadata of the cache, and builds no graph.
    assert {*found.stdout.split()} - {"bayescale._version"} <= {*behind}
    assert "bayescale.laws.kaplan_ns" in behind
    assert not {"bayescale.cli.main", "bayescale.data.load", "bayescale.posterior.fit"} & {*behind}
