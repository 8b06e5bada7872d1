"""Ctrl-C ends a command with one line and exit code 130, also while modules are imported.

An interrupt inside an import may surface as another error, such as the SystemError of a partly
imported extension, or as none at all. So the signal is recorded as well as raised.
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
"""Exit code of an interrupted command: 128 + SIGINT, as in a shell."""


class Interrupts:
    """A handler of SIGINT that records the signal and raises KeyboardInterrupt."""

    received = False
    is_over = False
    """Whether the command has ended; later signals change nothing."""

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Record the signal and raise KeyboardInterrupt."""
        self.received = True
        if not self.is_over:
            raise KeyboardInterrupt

    def repeat(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Interrupt again after a moment, if a callback could not raise KeyboardInterrupt."""
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            threading.Timer(0.01, self._interrupt).start()
        else:
            sys.__unraisablehook__(unraisable)

    def _interrupt(self) -> None:
        if not self.is_over:
            _thread.interrupt_main()


@contextmanager
def recorded() -> Iterator[Interrupts]:
    """Record interrupts inside the block, unless they are ignored or handled elsewhere."""
    interrupts = Interrupts()
    if not _replace(interrupts):
        yield interrupts
        return
    hook, sys.unraisablehook = sys.unraisablehook, interrupts.repeat
    try:
        yield interrupts
    finally:
        interrupts.is_over = True
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_at_once() -> None:
    """Let an interrupt end the process with one line: for imports, before anything is written."""
    _replace(_end)


def raise_again() -> None:
    """Let an interrupt raise KeyboardInterrupt again, after `end_at_once`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """Ignore interrupts: for the exit of a process whose command has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(signum: int, frame: FrameType | None) -> None:
    os.write(2, b"bayescale: interrupted; nothing was written.\n")
    os._exit(INTERRUPTED)


def _replace(handler: Callable[[int, FrameType | None], None]) -> bool:
    """Replace Python's handler of interrupts, and return whether it was in use."""
    is_default = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if is_default:
        signal.signal(signal.SIGINT, handler)
    return is_default
