"""Ctrl-C at any moment: one line, exit code 130, and a correct statement of what was written."""

import gc
import os
import signal
import subprocess
import sys
import weakref

import pytest

from bayescale.cli import interrupts
from bayescale.cli.main import main
from bayescale.cli.parser import make_parser

DURING_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "bayescale.cli.parser":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from bayescale.__main__ import main
main()
"""

foreground = pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is not signal.default_int_handler,
    reason="this process ignores interrupts, as one started in the background does",
)


@foreground
def test_an_interrupt_during_imports_is_one_line():
    found = subprocess.run(
        [sys.executable, "-c", DURING_IMPORT], capture_output=True, text=True, check=False
    )
    assert found.returncode == interrupts.INTERRUPTED
    assert found.stderr == "bayescale: interrupted; nothing was written.\n"
    assert found.stdout == ""


def interrupt_hidden_by_another_error(options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemError("returned a result with an exception set") from None


def interrupt_lost_in_a_callback(options):
    class Anything:
        pass

    one = Anything()
    watched = weakref.ref(one, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del one
    gc.collect()
    assert watched() is None
    for _ in range(10_000):
        signal.sigtimedwait([], 0.001)
    raise AssertionError("the interrupt is lost")


@foreground
def test_a_second_interrupt_changes_nothing(monkeypatch, capsys):
    def twice(*_):
        os.kill(os.getpid(), signal.SIGINT)
        return "interrupted twice"

    def run(options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayescale.cli.main._interrupted", twice)
    monkeypatch.setattr("bayescale.cli.commands.doctor.run", run)
    monkeypatch.setattr("bayescale.cli.main.make_parser", make_parser.__wrapped__)
    assert main(["doctor"]) == interrupts.INTERRUPTED
    assert capsys.readouterr().err == "bayescale: interrupted twice\n"


@foreground
@pytest.mark.parametrize("run", [interrupt_hidden_by_another_error, interrupt_lost_in_a_callback])
def test_an_interrupt_is_known_by_any_name(run, monkeypatch, capsys):
    monkeypatch.setattr("bayescale.cli.commands.doctor.run", run)
    monkeypatch.setattr("bayescale.cli.main.make_parser", make_parser.__wrapped__)
    assert main(["doctor"]) == interrupts.INTERRUPTED
    said = capsys.readouterr().err
    assert said == (
        "bayescale: interrupted; nothing was written, and existing files are unchanged.\n"
    )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
