"""Refits: the options that functions of many fits share, and the tasks that they run."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from bayescale.errors import did_you_mean
from bayescale.inference.parallel import Outcome, Task, run_tasks


class RefitOptions(TypedDict, total=False):
    """Options of functions that fit many times, each given as a keyword.

    Attributes
    ----------
    seed : int
        Seed of every fit, as in `fit` (0).
    draws : int
        Posterior draws per chain of every fit; the default is that of the function.
    target_accept : float, optional
        Target acceptance rate of every fit, as in `fit`.
    executor : concurrent.futures.Executor, optional
        Any PEP 3148 executor, that of a cluster included; sequential in this process unless
        given. With a process pool, user-defined laws must be in a module that the workers import.
    store : str or Path, optional
        A file to which each result is written, so that an interrupted call can be resumed.
    progress : bool
        Show a progress bar on standard error (true).

    Examples
    --------
    >>> import bayescale as bs
    >>> options: bs.RefitOptions = {"draws": 250, "seed": 1, "progress": False}
    >>> found = bs.backtest("chinchilla", "chinchilla", **options)
    """

    seed: int
    draws: int
    target_accept: float | None
    executor: Executor | None
    store: str | Path | None
    progress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refits:
    """The values of `RefitOptions`, and how tasks are run under them."""

    seed: int = 0
    draws: int = 1000
    target_accept: float | None = None
    executor: Executor | None = None
    store: str | Path | None = None
    progress: bool = True

    @classmethod
    def of(cls, options: RefitOptions, *, draws: int) -> "Refits":
        """Return the options with a function's default number of draws.

        Raises
        ------
        TypeError
            If there is no such option.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise TypeError(
                    f"found the argument {name!r}, expected one of {', '.join(known)} or those of "
                    f"the function.{did_you_mean(name, known)}"
                )
        given: dict[str, Any] = {"draws": draws, **options}
        return cls(**given)

    @property
    def sampling(self) -> dict[str, Any]:
        """Seed, draws and target acceptance rate, as keyword arguments of `fit`."""
        return {"seed": self.seed, "draws": self.draws, "target_accept": self.target_accept}

    @property
    def key(self) -> tuple[Any, ...]:
        """What a stored result depends on."""
        return tuple(self.sampling.values())

    def run(self, work: Callable[..., Outcome], tasks: Sequence[Task], label: str) -> list[Outcome]:
        """Run tasks; see `bayescale.inference.parallel.run_tasks`."""
        return run_tasks(
            work,
            tasks,
            label=label,
            executor=self.executor,
            store=self.store,
            progress=self.progress,
        )
