"""DrawStore: draws written to disk while sampling, so that an interrupted fit can be resumed."""

import itertools
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayescale._digests import digest_of
from bayescale._io import refuse_unwritable, whole_file
from bayescale._outputs import FIRST_LINE_OF_DRAWS
from bayescale._seeds import Stream, seed_of
from bayescale._version import __version__
from bayescale.data.netcdf import (
    pack_groups,
    runs_facts,
    table_to_dataset,
    unpack_groups,
)
from bayescale.data.runs import Runs
from bayescale.errors import FitFileError
from bayescale.inference.base import Arrays, KeepCallback, ProgressCallback, Sampler, Settings
from bayescale.inference.journal import Journal, Record, as_bytes, pack, unpack
from bayescale.inference.multimodal import Exploration
from bayescale.model.card import Model

_NOT_OF_THE_DRAWS = frozenset({"cores"})
"""Settings that may change when a fit is resumed."""

_NOT_OF_THE_MODEL = frozenset({"title", "references"})
"""Fields of a card that may change when a fit is resumed."""


class Place(NamedTuple):
    """Identifies the call of the sampler that draws belong to.

    Attributes
    ----------
    factor
        Thinning factor of the attempt.
    mode
        Index of the mode of the posterior.
    """

    factor: int
    mode: int


class DrawStore:
    """The draws of a fit so far, in a file.

    Attributes
    ----------
    path
        The file.
    content
        Model, data and settings of the fit, as groups and facts of `bayescale.data.netcdf`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_other_files(path)
        self._journal = Journal(path, FIRST_LINE_OF_DRAWS)
        if not self._records or self._records[0].facts["kind"] != "fit":
            raise FitFileError(
                f"{path}: the beginning of this file of draws is damaged, so its fit is unknown. "
                "Remove it, and fit again."
            )
        packed = self._journal.payload(self._records[0])
        facts = ("model", "runs", "digest", "provenance")
        self.content = unpack_groups(packed, ("runs",), facts, path)

    @classmethod
    def open(
        cls, path: Path, model: Model, runs: Runs, provenance: Mapping[str, Any]
    ) -> "DrawStore":
        """Create a store, or open the existing one of the same fit.

        Raises
        ------
        FitFileError
            If the file is not a store, or belongs to another fit.
        """
        facts = {
            "model": model.to_dict(),
            "runs": runs_facts(runs),
            "digest": [runs.digest(model.grouped_and_noted), digest_of(model.law)],
            "provenance": dict(provenance),
        }
        if not path.exists():
            packed = pack_groups({"runs": table_to_dataset(runs.table)}, facts)
            with whole_file(path) as part:
                part.write_bytes(FIRST_LINE_OF_DRAWS + as_bytes({"kind": "fit"}, packed))
            return cls(path)
        store = cls(path)
        store._refuse_another(json.loads(json.dumps(facts)))
        if not store.finished:
            store._journal.add({"kind": "taken up"})
        return store

    @property
    def _records(self) -> list[Record]:
        return self._journal.records

    @property
    def provenance(self) -> dict[str, Any]:
        """Provenance of the finished fit, or that known at the start of an unfinished one."""
        done = self._journal.last("done")
        begun: dict[str, Any] = self.content[1]["provenance"]
        return dict(done.facts["provenance"]) if done else begun

    @property
    def finished(self) -> int | None:
        """Factor of the attempt that completed the fit, or None."""
        done = self._journal.last("done")
        return int(done.facts["factor"]) if done else None

    @property
    def taken_up(self) -> int:
        """Number of times the fit was resumed."""
        return sum(record.facts["kind"] == "taken up" for record in self._records)

    @property
    def factors(self) -> tuple[int, ...]:
        """Factors of all attempts that were started, in order."""
        return tuple(r.facts["factor"] for r in self._records if r.facts["kind"] == "attempt")

    def finish(self, factor: int, provenance: Mapping[str, Any]) -> None:
        """Record that the fit is complete, and which attempt holds its draws."""
        self._journal.add({"kind": "done", "factor": factor, "provenance": dict(provenance)})

    def sampler(self, compiled: Sampler, factor: int) -> "KeptSampler":
        """Return a sampler for one attempt that writes its draws to this store."""
        if factor not in self.factors:
            self._journal.add({"kind": "attempt", "factor": factor})
        return KeptSampler(compiled, self, factor)

    def add_exploration(self, factor: int, found: Exploration) -> None:
        """Add the search for modes of an attempt."""
        arrays = {str(i): starts for i, starts in enumerate(found.starts)}
        facts = {"evidence": dict(found.log_evidence), "error": found.error}
        packed = pack({**arrays, "weights": found.weights})
        self._journal.add({"kind": "modes", "factor": factor, **facts}, packed)

    def exploration(self, factor: int) -> Exploration | None:
        """Return the search for modes of an attempt, or None."""
        found = self._journal.last("modes", factor=factor)
        if found is None:
            return None
        arrays = unpack(self._journal.payload(found))
        weights = arrays.pop("weights")
        return Exploration(
            starts=tuple(arrays[str(i)] for i in range(len(arrays))),
            weights=weights,
            log_evidence=found.facts["evidence"],
            error=found.facts["error"],
        )

    def add(self, place: Place, chain: int, first: int, draws: Arrays, statistics: Arrays) -> None:
        """Add draws of a chain, where `first` is the index of the first of them in the chain."""
        rows = len(next(iter(draws.values())))
        packed = pack(
            {f"draws/{name}": values for name, values in draws.items()}
            | {f"statistics/{name}": values for name, values in statistics.items()}
        )
        self._journal.add(
            {"kind": "draws", "place": place, "chain": chain, "first": first, "rows": rows}, packed
        )

    def lengths(self, place: Place, chains: int) -> list[int]:
        """Return the number of draws of each chain."""
        lengths = [0] * chains
        for record, skipped in self._parts(place):
            lengths[record.facts["chain"]] += record.facts["rows"] - skipped
        return lengths

    def last(self, place: Place, chains: int) -> Iterator[Arrays]:
        """Return the last draw of each non-empty chain."""
        ends: dict[int, Record] = {r.facts["chain"]: r for r, _ in self._parts(place)}
        for chain in sorted(set(range(chains)) & set(ends)):
            arrays = unpack(self._journal.payload(ends[chain]))
            yield {name: values[-1] for name, values in _of("draws/", arrays).items()}

    def draws(
        self, place: Place, chains: list[int], count: int
    ) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset]:
        """Return the first draws of the given chains, in the form of `Sampler.sample`."""
        found: dict[str, NDArray[Any]] = {}
        filled = dict.fromkeys(chains, 0)
        for record, skipped in self._parts(place):
            chain = record.facts["chain"]
            if chain not in filled:
                continue
            begin = filled[chain]
            for name, values in unpack(self._journal.payload(record)).items():
                # Preallocated: concatenating parts would hold the draws in memory twice.
                if name not in found:
                    shape = (len(chains), count, *values.shape[1:])
                    found[name] = np.empty(shape, values.dtype)
                fresh = values[skipped:][: count - begin]
                found[name][chains.index(chain), begin : begin + len(fresh)] = fresh
            filled[chain] = min(count, begin + record.facts["rows"] - skipped)
        stats = {
            name: (("chain", "draw"), values) for name, values in _of("statistics/", found).items()
        }
        coordinates = {"chain": np.arange(len(chains)), "draw": np.arange(count)}
        return _of("draws/", found), xr.Dataset(stats, coords=coordinates)

    def _parts(self, place: Place) -> Iterator[tuple[Record, int]]:
        """Yield the records of draws, and how many of each duplicate earlier records.

        Draws are written twice if a fit is interrupted between writing and acknowledging them.
        """
        lengths: dict[int, int] = {}
        for record in self._records:
            if record.facts["kind"] == "draws" and tuple(record.facts["place"]) == place:
                chain, rows = record.facts["chain"], record.facts["rows"]
                known = lengths.get(chain, 0)
                skipped = known - record.facts["first"]
                if 0 <= skipped < rows:
                    lengths[chain] = known + rows - skipped
                    yield record, skipped

    def _refuse_another(self, asked: Mapping[str, Any]) -> None:
        found = self.content[1]
        differences = [
            f"{key} of the card: found {had!r}, expected {want!r}"
            if len(f"{had}{want}") < 80
            else f"{key} of the card differ"
            for key, had, want in _differing(found["model"], asked["model"], _NOT_OF_THE_MODEL)
        ]
        if found["digest"][1] != asked["digest"][1]:
            differences.append(f"formula of the law {asked['model']['law']}: found another")
        if found["digest"][0] != asked["digest"][0]:
            ours, theirs = self.content[0]["runs"].sizes["row"], asked["runs"]["name"]
            differences.append(
                f"runs: found those of {found['runs']['name']} ({ours} runs), expected others "
                f"({theirs})"
                if found["runs"]["name"] != theirs
                else f"runs: found other values in {theirs}"
            )
        had, want = found["provenance"]["sampler"], asked["provenance"]["sampler"]
        differences += [
            f"{key}: found {ours!r}, expected {theirs!r}"
            for key, ours, theirs in _differing(had, want, _NOT_OF_THE_DRAWS)
        ]
        version = found["provenance"]["versions"]["bayescale"]
        if version != __version__:
            differences.append(f"bayescale: found version {version}, expected {__version__}")
        if differences:
            raise FitFileError(
                f"{self.path}: found the draws of another fit ({'; '.join(differences)}). Give the "
                "store of this fit, or a new file; the other fit is continued by repeating it."
            )


class KeptSampler:
    """Sampler that writes the draws of a compiled density to a store while sampling.

    Complete chains are not sampled again. Incomplete ones are continued after another warm-up,
    from their last draws, or from the default starts if they have none.
    """

    def __init__(self, compiled: Sampler, store: DrawStore, factor: int) -> None:
        self._compiled, self._store = compiled, store
        self._places = (Place(factor, mode) for mode in itertools.count())

    def sample(
        self,
        data: NDArray[np.float64],
        settings: Settings,
        progress: ProgressCallback | None = None,
        starts: NDArray[np.float64] | None = None,
    ) -> tuple[dict[str, NDArray[np.float64]], xr.Dataset]:
        """Return draws as `Sampler.sample` does, sampling those missing from the store."""
        place, every = next(self._places), range(settings.chains)
        seed = settings.seed
        for begun in (True, False):
            lengths = self._store.lengths(place, settings.chains)
            chains = [c for c in every if lengths[c] < settings.draws and begun == (lengths[c] > 0)]
            if not chains:
                continue
            if any(lengths):
                # A new random stream, since the original one would repeat the stored draws.
                seed = seed_of(settings.seed, Stream.GOING_ON, *place, sum(lengths))
            rest = replace(
                settings,
                draws=settings.draws - min(lengths[chain] for chain in chains),
                chains=len(chains),
                cores=min(settings.cores, len(chains)),
                seed=seed,
            )
            if begun:
                ends = self._store.last(place, settings.chains)
                stood = np.array([self._compiled.pack(end) for end in ends])
            keep = self._keep(place, chains, lengths)
            self._compiled.sample(data, rest, progress, stood if begun else starts, keep)
        return self._store.draws(place, list(every), settings.draws)

    def _keep(self, place: Place, chains: list[int], lengths: list[int]) -> KeepCallback:
        def keep(i: int, first: int, draws: Arrays, statistics: Arrays) -> None:
            chain = chains[i]
            self._store.add(place, chain, lengths[chain] + first, draws, statistics)

        return keep


def refuse_store(store: str | Path | None) -> None:
    """Raise if a file cannot serve as a store: not writable, or not a store.

    Raises
    ------
    FitFileError
        If the file exists and is not a store.
    OSError
        If the file cannot be written.
    """
    if store is None:
        return
    path = Path(store)
    refuse_unwritable(path)
    if path.exists():
        refuse_other_files(path)


def refuse_other_files(path: Path) -> None:
    """Raise FitFileError if the file exists and is not a store."""
    if not holds_draws(path):
        raise FitFileError(
            f"{path}: found another kind of file, expected the stored draws of a fit. It was not "
            "changed; give another path."
        )


def holds_draws(path: Path) -> bool:
    """Return whether a file is a store of draws."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_LINE_OF_DRAWS)) == FIRST_LINE_OF_DRAWS


def _of(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n.removeprefix(prefix): x for n, x in arrays.items() if n.startswith(prefix)}


def _differing(
    found: Mapping[str, Any], asked: Mapping[str, Any], apart_from: Set[str]
) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*found, *asked)):
        if key not in apart_from and found.get(key) != asked.get(key):
            yield key, found.get(key), asked.get(key)
