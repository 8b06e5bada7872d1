"""A progress bar for work with named stages."""

from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Receives the progress of work; this base class shows nothing."""

    def stage(self, name: str) -> None:
        """Start a stage."""

    def count(self, done: int, total: int) -> None:
        """Report the progress of the stage."""


@contextmanager
def stages(show: bool) -> Iterator[Stages]:
    """Show stages on standard error within the context, or nothing if `show` is false."""
    if not show:
        yield Stages()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    class Shown(Stages):
        def __init__(self, bar: Progress) -> None:
            self._bar = bar
            self._task: TaskID | None = None

        def stage(self, name: str) -> None:
            self.finish()
            # Without a total the bar pulses, since the length of the stage is unknown.
            self._task = self._bar.add_task(name, total=None)

        def count(self, done: int, total: int) -> None:
            if self._task is not None:
                self._bar.update(self._task, completed=done, total=total)

        def finish(self) -> None:
            if self._task is not None:
                task = self._bar.tasks[self._bar.task_ids.index(self._task)]
                total = task.total or 1
                self._bar.update(self._task, completed=total, total=total)
                self._bar.stop_task(self._task)
                self._task = None

    with Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as bar:
        shown = Shown(bar)
        yield shown
        shown.finish()
