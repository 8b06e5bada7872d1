"""The public tables of the studies."""

import numpy as np

import bayescale as bs
from benchmarks.calibration.cards import SHARES
from benchmarks.public_tables import Tables

type Sources = dict[str, dict[str, bs.Runs]]
"""The tables of each source."""

WARMUPS = ("short", "long")
RECOUNTED = {
    "kaplan-train": ("rw-base-long-kaplan", "owt2-base-long-kaplan", "rw-tuned-long-const"),
    "attention-train": (
        "rw-base-long-kaplan",
        "rw-base-short-kaplan",
        "rw-base-short-chinchilla",
        "rw-tuned-short-const",
    ),
}
"""Families of Porian's tables by the counting convention: layers only, or with attention."""


def sources(tables: Tables) -> Sources:
    """Return the tables of every source: the families, corpora or recipes of one study."""
    over_trained = bs.load_runs("overtraining")
    grids = {"marin_isoflop": "outlier == 0", "xlstm_llama_isoflop": "suspect == 0"}
    best = "family == 'dense' and best_in_cell == 1"
    return {
        "chinchilla": {"all": bs.load_runs("chinchilla")},
        "overtraining": {
            family: over_trained.where(f"family == '{family}'") for family in over_trained.families
        },
        "porian_isoflop": {
            family: tables.porian(family)
            for family in (
                "rw-base-short-chinchilla",
                "owt2-base-short-chinchilla",
                "rw-tuned-short-const",
                "owt2-tuned-short-const",
            )
        },
        "gemstones": {"cooled down": tables.gemstones_by_tokens("cooldown")},
        "routed_lm_curves": {"dense": tables.routed("dense")},
        "datablations_runs": {"one epoch": tables.one_epoch()},
        **{name: tables.families(name, kept) for name, kept in grids.items()},
        "steplaw": {"best of each cell": tables.families("steplaw", best)["dense"]},
    }


def other_tables(tables: Tables) -> Sources:
    """Return the other tables of some sources, from which no prior is learnt."""
    warmed = [f"{corpus}-base-{warmup}-kaplan" for corpus in ("rw", "owt2") for warmup in WARMUPS]
    return {
        "porian_isoflop, cosine of another length": {
            family: tables.porian(family) for family in warmed
        },
        "porian_isoflop, other counting of sizes and compute": {
            f"{view}, {family}": tables.porian(family, view)
            for view, families in RECOUNTED.items()
            for family in families
        },
        "gemstones, at a constant learning rate": {
            ", ".join(part): tables.gemstones_by_tokens(*part)
            for part in (("hot_half_lr", "dolma"), ("hot", "dclm"), ("hot", "fineweb_edu"))
        },
        "routed_lm_curves, routed": {
            f"{router}, {experts} experts": tables.routed(router, experts=experts)
            for router in ("s-base", "hash", "rl-r")
            for experts in (8, 64)
        },
        "routed_lm_curves, other texts": {
            text: tables.routed("dense", loss=f"loss_{text}")
            for text in ("c4", "wikitext103", "pile", "curation_corpus")
        },
    }


def cuts_of(runs: bs.Runs) -> list[float]:
    return [float(np.quantile(runs.compute, share)) for share in SHARES]
