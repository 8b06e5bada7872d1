"""Load a saved fit, or the draws so far of an interrupted one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayescale.backend.observed import Design, Scale
from bayescale.data.levels import NEW
from bayescale.data.netcdf import dataset_to_draws, read_groups, refusing_damage, runs_from
from bayescale.errors import BayescaleError, FitFileError
from bayescale.inference.assemble import assemble, facts_of_modes, posterior_of
from bayescale.inference.checkpoint import DrawStore, Place, holds_draws
from bayescale.inference.multimodal import mixed
from bayescale.laws import law as find_law
from bayescale.model.card import Model
from bayescale.model.discrepancy import SLOPES
from bayescale.posterior.fit import LEVELS, Fit

_GROUPS = ("posterior", "sample_stats", "runs")
_FACTS = ("model", "scale", "runs", "provenance")
_LEAST = 10
"""Fewest draws per chain for which diagnostics are meaningful."""


def load_fit(path: str | Path, *, law: str | None = None) -> Fit:
    """Load a saved fit, or the draws so far of an interrupted one.

    Parameters
    ----------
    path
        A file written by `Fit.save`, or the `store` of a fit.
    law
        Name of the expected law; a fit of another law is refused.

    Returns
    -------
    Fit
        With draws identical to those saved. From the store of an interrupted fit, as many draws
        as are available in chains of equal length; ``fit.diagnostics`` says how many those are.

    Raises
    ------
    FitFileError
        If the file is missing, damaged, not a saved fit, of another law, or of a fit interrupted
        before its chains had ten draws each.

    Examples
    --------
    >>> import bayescale as bs
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     bs.fit("chinchilla", "chinchilla", seed=1, progress=False).save(f"{folder}/fit.nc")
    ...     bs.load_fit(f"{folder}/fit.nc", law="chinchilla").seed
    1
    """
    path = Path(path)
    if holds_draws(path):
        with refusing_damage(path):
            fit = _fit_so_far(path)
    else:
        fit = _saved(path)
    if law is not None and fit.law.name != find_law(law).name:
        raise FitFileError(
            f"{path}: a fit of the law {fit.law.name}, expected {law}. Give another file, or ask "
            "for that law."
        )
    with refusing_damage(path):
        _check_whole(fit, path)
    return fit


def _fit_so_far(path: Path) -> Fit:
    """Return the fit of the draws in a store.

    Raises
    ------
    FitFileError
        If the file is not a store, or has too few draws.
    """
    store = DrawStore(path)
    groups, facts = store.content
    model = _card_from(facts["model"], path)
    runs = runs_from(groups["runs"], facts["runs"])
    provenance = store.provenance
    settings = provenance["sampler"]
    # A new attempt may still have fewer draws than the one it replaces.
    tried = [store.finished] if store.finished else store.factors
    factor, (chains, count) = max(
        ((factor, _most(store, factor, settings["chains"])) for factor in tried),
        key=lambda found: len(found[1][0]) * found[1][1],
        default=(1, ([], 0)),
    )
    if count < _LEAST * factor:
        raise FitFileError(
            f"{path}: found {count} draws a chain, expected at least {_LEAST * factor}: the fit "
            "was interrupted in its warm-up, or soon after. Fit again with the same store to go on."
        )
    exploration = store.exploration(factor)
    modes = len(exploration.starts) if exploration else 1
    sampled = [store.draws(Place(factor, mode), chains, count) for mode in range(modes)]
    if exploration:
        positions, stats, exploration = mixed(sampled, exploration, settings["seed"])
        provenance |= facts_of_modes(exploration)
    else:
        positions, stats = sampled[0]
    thinned = {name: values[:, ::factor] for name, values in positions.items()}
    if not store.finished:
        provenance["sampler"] = settings | ({"kept_one_draw_in": factor} if factor > 1 else {})
        provenance["unfinished"] = {
            "draws": count,
            "all_draws": settings["draws"] * store.factors[-1],
            "chains": len(chains),
            "all_chains": settings["chains"],
        }
    design = Design.of(model, runs)
    posterior = posterior_of(model, design, thinned, settings["seed"])
    stats = stats.isel(draw=slice(None, None, factor))
    return assemble(model, runs, design, posterior, stats, provenance)


def _most(store: DrawStore, factor: int, chains: int) -> tuple[list[int], int]:
    """Return the chains, and the common number of draws, that give the most draws in total.

    With fewer processors than chains, some chains are long while others have not started.
    """
    exploration = store.exploration(factor)
    modes = len(exploration.starts) if exploration else 1
    lengths = np.array([store.lengths(Place(factor, m), chains) for m in range(modes)]).min(axis=0)
    longest = np.argsort(-lengths, kind="stable")
    least = min(2, chains)
    counts = np.arange(least, chains + 1)
    best = least + int(np.argmax(counts * lengths[longest][least - 1 :]))
    return sorted(map(int, longest[:best])), int(lengths[longest[best - 1]])


def _saved(path: Path) -> Fit:
    groups, facts = read_groups(path, _GROUPS, _FACTS)
    model = _card_from(facts["model"], path)
    with refusing_damage(path):
        provenance = dict(facts["provenance"])
        levels = provenance.pop(LEVELS, {})
        return Fit(
            model=model,
            runs=runs_from(groups["runs"], facts["runs"]),
            scale=Scale(**facts["scale"]),
            _posterior=dataset_to_draws(groups["posterior"]),
            _sample_stats=groups["sample_stats"],
            provenance=provenance,
            groups={column: NEW if x is None else x for column, x in levels.items()},
        )


def _card_from(content: Mapping[str, Any], path: Path) -> Model:
    """Return the model of the card in a file, or raise FitFileError."""
    with refusing_damage(path):
        try:
            return Model.from_dict(content, str(path))
        except BayescaleError as error:
            raise FitFileError(f"{path}: its card is not valid. {error}") from None


def _check_whole(fit: Fit, path: str | Path) -> None:
    expected = {*fit.law.parameters, *fit.model.all_priors}
    if fit.model.discrepancy is not None:
        expected.add(SLOPES)
    expected |= {effect.effect for effect in fit.model.effects}
    found = set(map(str, fit.posterior.data_vars))
    if found != expected:
        raise FitFileError(
            f"{path}: its draws are of {', '.join(sorted(found))}, but the law {fit.law.name} "
            f"has {', '.join(sorted(expected))}. The file belongs to another law or version; "
            "fit again."
        )
    if fit.runs.fingerprint != fit.provenance.get("fingerprint"):
        raise FitFileError(
            f"{path}: the runs inside do not have the recorded fingerprint, so the file was "
            "changed after the fit. Fit again."
        )
