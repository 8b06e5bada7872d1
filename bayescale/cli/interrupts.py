"""Ctrl-C ends a command with one line and exit code 130, also while modules are imported.

An interrupt inside an import may come out as another error, such as the SystemError of a half
imported extension, or as none at all. So the signal is noted, and not only raised.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of an interrupted command, as of a shell."""


class Interrupts:
    """Whether the signal came; as its handler, it raises KeyboardInterrupt as Python's own does."""

    came = False
    is_over = False
    """Whether the command has ended; later signals change nothing."""

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal and raise KeyboardInterrupt."""
        self.came = True
        if not self.is_over:
            raise KeyboardInterrupt

    def again(self, lost: "sys.UnraisableHookArgs") -> None:
        """Interrupt again after a moment, if a callback could not raise KeyboardInterrupt."""
        if isinstance(lost.exc_value, KeyboardInterrupt):
            threading.Timer(0.01, self._again).start()
        else:
            sys.__unraisablehook__(lost)

    def _again(self) -> None:
        if not self.is_over:
            _thread.interrupt_main()


@contextmanager
def noted() -> Iterator[Interrupts]:
    """Note interrupts inside the block; where they are ignored or handled elsewhere, none."""
    interrupts = Interrupts()
    if not _replace(interrupts):
        yield interrupts
        return
    report, sys.unraisablehook = sys.unraisablehook, interrupts.again
    try:
        yield interrupts
    finally:
        interrupts.is_over = True
        sys.unraisablehook = report
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_at_once() -> None:
    """Let an interrupt end the process with its line from now on: for imports, before any work."""
    _replace(_end)


def raise_again() -> None:
    """Let an interrupt raise KeyboardInterrupt again, after `end_at_once`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """Ignore interrupts from now on: for the exit of a process whose command has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"bayescale: interrupted; nothing was written.\n")
    os._exit(INTERRUPTED)


def _replace(handler: Callable[[int, FrameType | None], None]) -> bool:
    """Handle interrupts in place of Python, unless the process ignores them."""
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, handler)
    return ours
