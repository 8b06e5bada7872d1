"""The fit of the draws that a store has: all of a finished fit, or those that one had so far."""

from pathlib import Path

import numpy as np

from bayescale._seeds import Stream, generator
from bayescale.build import labelled, parameters_from_draws
from bayescale.design import Design
from bayescale.draw_store import DrawStore, Place
from bayescale.errors import FitFileError
from bayescale.modes import mixed
from bayescale.posterior import Fit, card_from
from bayescale.storage import runs_from

_LEAST = 10
"""Fewer draws a chain than this say nothing, not even how little they say."""


def fit_so_far(path: Path) -> Fit:
    """Return the fit of the draws that a store has.

    Raises
    ------
    FitFileError
        If the file is not a store, or has too few draws.
    """
    store = DrawStore(path)
    groups, facts = store.content
    model = card_from(facts["model"], path)
    runs = runs_from(groups["runs"], facts["runs"])
    provenance = store.provenance
    settings = provenance["sampler"]
    # An attempt that has just begun may have fewer draws than the one that it is to replace.
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
        provenance |= {"modes": dict(exploration.log_evidence), "modes_error": exploration.error}
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
    unseen = generator(settings["seed"], Stream.UNSEEN)
    return Fit(
        model=model,
        runs=runs,
        scale=design.scale,
        _posterior=labelled(model, design, parameters_from_draws(model, design, thinned), unseen),
        _sample_stats=stats.isel(draw=slice(None, None, factor)),
        provenance=provenance,
    )


def _most(store: DrawStore, factor: int, chains: int) -> tuple[list[int], int]:
    """Return the chains of an attempt, and how many draws of each, that are most draws in all.

    With fewer processors than chains some may be long while others have not begun.
    """
    exploration = store.exploration(factor)
    modes = len(exploration.starts) if exploration else 1
    lengths = np.array([store.lengths(Place(factor, m), chains) for m in range(modes)]).min(axis=0)
    longest = np.argsort(-lengths, kind="stable")
    least = min(2, chains)
    counts = np.arange(least, chains + 1)
    best = least + int(np.argmax(counts * lengths[longest][least - 1 :]))
    return sorted(map(int, longest[:best])), int(lengths[longest[best - 1]])
