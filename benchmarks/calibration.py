"""Do the intervals cover? Larger runs held out of public tables, new families, and simulations.

    python benchmarks/calibration.py TABLES

Writes docs/calibration.md. TABLES is a folder with the larger public tables. Every table has the
same cuts: the compute below which half, 65 % and 80 % of its runs lie.
"""

import argparse
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from least_squares import bootstrap_score
from public_tables import Tables, load, markdown

import bayescale as bs
from bayescale.errors import BayescaleWarning, RunsError, SamplingError
from bayescale.inference.parallel import Task, run_tasks
from bayescale.validation.score import Score, fit_and_score

PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"
SHARES = (0.5, 0.65, 0.8)
INNER_SHARES = (0.6, 0.8)
SEED = 1
SIMULATIONS = 200
REPEATS = 8
MEDIANS = (0.00007, 0.0002, 0.0007, 0.0021)
"""Of the prior on the drift, for what a narrower or wider one would trade."""
TRADED_SHARE, TRADED_REPEATS = 0.65, 2

IID, COUPLED, DEFAULT = "chinchilla", "coupled", "chinchilla-drift"
POOLED, CORPORA = "chinchilla-pooled", "chinchilla-corpora"
CARDS = (IID, COUPLED, "over-training", "kaplan-nd-floor", DEFAULT)
STACKED = (IID, COUPLED, "kaplan-nd-floor")
BOOTSTRAP, STACK = "least squares, bootstrap", "stack of laws"
SIMULATED_CARDS = (IID, COUPLED, "kaplan-nd", POOLED, DEFAULT)
FEW = (3, 4, 5, 6)
"""How many small runs of a new family are known."""

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
"""Families of Porian's tables by how sizes and compute are counted: layers alone, or attention."""


def data_sets(tables: Tables) -> dict[str, dict[str, bs.Runs]]:
    """The tables of each data set; those of one data set are families of it."""
    over_trained = bs.load_runs("overtraining")
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
    }


def other_data_sets(tables: Tables) -> dict[str, dict[str, bs.Runs]]:
    """What is left of the public tables: looked at once, when all had been chosen."""
    warmed = [f"{corpus}-base-{warmup}-kaplan" for corpus in ("rw", "owt2") for warmup in WARMUPS]
    return {
        "porian_isoflop, cosine of another length": {
            family: tables.porian(family) for family in warmed
        },
        "porian_isoflop, sizes and compute counted otherwise": {
            f"{view}, {family}": tables.porian(family, view)
            for view, families in RECOUNTED.items()
            for family in families
        },
        "gemstones, at a constant learning rate": {
            ", ".join(part): tables.gemstones_by_tokens(*part)
            for part in (("hot_half_lr", "dolma"), ("hot", "dclm"), ("hot", "fineweb_edu"))
        },
        "routed_lm_curves, of routers": {
            f"{router}, {experts} experts": tables.routed(router, experts=experts)
            for router in ("s-base", "hash", "rl-r")
            for experts in (8, 64)
        },
        "routed_lm_curves, other texts": {
            text: tables.routed("dense", loss=f"loss_{text}")
            for text in ("c4", "wikitext103", "pile", "curation_corpus")
        },
    }


def designs() -> dict[str, pd.DataFrame]:
    names = ["n_params", "n_tokens"]
    isoflop = [
        (size, budget / (6 * size))
        for budget in np.geomspace(1e19, 1e21, 5)
        for size in np.sqrt(budget / 120) * np.geomspace(0.3, 3, 7)
    ]
    corner = [(size, 2e10) for size in np.geomspace(5e7, 5e9, 12)]
    corner += [(2e8, tokens) for tokens in np.geomspace(1e9, 5e11, 12)]
    diagonal = [(size, 20 * size) for size in np.geomspace(3e7, 1e10, 20)]
    found = {"isoFLOP": isoflop, "L-shaped": corner, "diagonal, D = 20 N": diagonal}
    four = np.array(["one", "two", "three", "four"])
    return {
        name: pd.DataFrame(rows, columns=names).assign(family=four[np.arange(len(rows)) % 4])
        for name, rows in found.items()
    }


class Bench:
    """Where the work is done, and what keeps it."""

    def __init__(self, executor: Executor, store: Path | None) -> None:
        self.executor, self.store = executor, store

    def scores(self, cards: Iterable[str], runs: bs.Runs, cuts: list[float]) -> pd.DataFrame:
        return bs.leave_scale_out(
            list(cards),
            runs,
            cuts,
            seed=SEED,
            executor=self.executor,
            store=self.store,
            progress=False,
        ).table

    def tasks(self, work: Callable[..., dict], tasks: list[Task]) -> list[dict]:
        return run_tasks(
            work, tasks, label="", executor=self.executor, store=self.store, progress=False
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of the larger public tables")
    parser.add_argument("--store", type=Path, help="a file that keeps what is done, to go on from")
    options = parser.parse_args()
    tables = Tables(options.tables)
    sets = data_sets(tables)
    warnings.simplefilter("ignore", BayescaleWarning)
    with ProcessPoolExecutor(2) as executor:
        bench = Bench(executor, options.store)
        parts: list[str] = []
        for part in (
            held_out(bench, sets),
            held_out_elsewhere(bench, other_data_sets(tables)),
            well_specified(bench, sets),
            trade_off(bench, sets),
            new_corpora(bench, bs.load_runs("overtraining")),
            simulated(bench),
        ):
            # Written as it grows: the last part takes longest, and may be stopped.
            parts.append("")
            for text in part:
                parts[-1] = text
                write(parts)


def write(parts: list[str]) -> None:
    head = [
        "# Do the intervals cover?",
        "",
        "Made by `make calibration TABLES=folder` "
        f"(bayescale {bs.__version__.split('+')[0]}, seed {SEED}); do not edit.",
    ]
    PAGE.write_text("\n\n".join(["\n".join(head), *parts]) + "\n", encoding="utf-8")


# --- larger runs held out -----------------------------------------------------------------------


def held_out(bench: Bench, sets: dict[str, dict[str, bs.Runs]]) -> Iterator[str]:
    rows = []
    for data_set, tables in sets.items():
        for name, runs in tables.items():
            where = {"data set": data_set, "table": name}
            cuts = cuts_of(runs)
            found = bench.scores(CARDS, runs, cuts).reset_index()
            rows += [{**where, **row} for row in found.to_dict("records")]
            bootstraps = [Task(f"bootstrap {name} {cut:g}", (runs, cut)) for cut in cuts]
            stacks = [Task(f"stack {STACKED} {name} {cut:g}", (runs, cut)) for cut in cuts]
            for model, work, tasks in (
                (BOOTSTRAP, score_bootstrap, bootstraps),
                (STACK, score_stack, stacks),
            ):
                for cut, row in zip(cuts, bench.tasks(work, tasks), strict=True):
                    rows.append({**where, "model": model, "cut": cut, **row})
        if len(tables) > 1:
            tasks = [Task(f"pooled {data_set} {share}", (tables, share)) for share in SHARES]
            for task, found_by_name in zip(tasks, bench.tasks(score_pooled, tasks), strict=True):
                for name, row in found_by_name.items():
                    cut = float(np.quantile(tables[name].compute, task.arguments[1]))
                    rows.append(
                        {"data set": data_set, "table": name, "model": POOLED, "cut": cut, **row}
                    )
        print(data_set, "held out", flush=True)
    scores = pd.DataFrame(rows)
    yield "\n".join(
        [
            "## Larger runs held out",
            "",
            "Each model is fitted to the runs below a cut in compute and predicts those above; the "
            "cuts leave 50, 65 and 80 % of the runs below. Shares of held-out runs inside the 90 % "
            "predictive interval, at the three cuts; a star marks a fit that failed its gates. "
            f"`{IID}` is the law with independent Student-t scatter, `{DEFAULT}` the default "
            f"card, `{POOLED}` is fitted to all families of a data set at once, and the stack "
            f"mixes {', '.join(f'`{card}`' for card in STACKED)} by how they predict the larger "
            "of the runs below the cut. The bootstrap is parametric, of a least-squares fit of "
            "the same law.",
            "",
            markdown(coverage_table(scores)),
            "",
            "All held-out runs together, and the least share of a data set. Scores are on log "
            "loss, in per cent; lower is better.",
            "",
            markdown(pooled_scores(scores)),
            "",
            verdict(scores),
        ]
    )


def cuts_of(runs: bs.Runs) -> list[float]:
    return [float(np.quantile(runs.compute, share)) for share in SHARES]


def score_bootstrap(runs: bs.Runs, cut: float) -> dict:
    below = runs.compute < cut
    found = bootstrap_score(runs.where(below), runs.where(~below), seed=SEED)
    return {**found.summary(), "ok": True}


def score_stack(runs: bs.Runs, cut: float) -> dict:
    """Weights from cuts inside the runs below, then the mixture of fits to all of those."""
    warnings.simplefilter("ignore", BayescaleWarning)
    below = runs.compute < cut
    seen, unseen = runs.where(below), runs.where(~below)
    inner = [float(np.quantile(seen.compute, share)) for share in INNER_SHARES]
    weights = bs.stacking_weights(
        bs.leave_scale_out(STACKED, seen, inner, seed=SEED, draws=500, progress=False)
    )
    parts = {
        card: fit_and_score(bs.load_model(card), seen, unseen, seed=SEED)
        for card in weights.index[weights > 0.01]
    }
    found = Score.mix([score for _, score in parts.values()], [weights[card] for card in parts])
    return {**found.summary(), "ok": all(facts["ok"] for facts, _ in parts.values())}


def score_pooled(tables: dict[str, bs.Runs], share: float) -> dict[str, dict]:
    """One fit to the runs of all families below their cuts, scored on each one's larger runs."""
    warnings.simplefilter("ignore", BayescaleWarning)
    seen, unseen = [], {}
    for name, runs in tables.items():
        below = runs.compute < np.quantile(runs.compute, share)
        seen.append((name, runs.table.loc[below]))
        unseen[name] = labelled([(name, runs.table.loc[~below])])
    fit = bs.fit(POOLED, labelled(seen), cores=1, seed=SEED, progress=False)
    ok = bool(fit.diagnostics.ok)
    return {name: {**bs.score(fit, runs).summary(), "ok": ok} for name, runs in unseen.items()}


def labelled(parts: list[tuple[str, pd.DataFrame]]) -> bs.Runs:
    columns = ["n_params", "n_tokens", "loss"]
    return load(pd.concat([table[columns].assign(family=name) for name, table in parts]))


def coverage_table(scores: pd.DataFrame) -> pd.DataFrame:
    models = list(dict.fromkeys([IID, COUPLED, POOLED, DEFAULT, BOOTSTRAP, STACK]))
    rows = []
    for (data_set, table), group in scores.groupby(["data set", "table"], sort=False):
        cells = {}
        for model in models:
            found = group[group["model"] == model].sort_values("cut")
            cells[quoted(model)] = " / ".join(
                f"{row['coverage_90']:.2f}" + ("" if row["ok"] else "\\*")
                for _, row in found.iterrows()
            )
        tested = group[group["model"] == IID].sort_values("cut")["n_test"]
        name = data_set if table == "all" else f"{data_set}, {table}"
        rows.append({"table": name, "held out": " / ".join(f"{n:.0f}" for n in tested), **cells})
    return pd.DataFrame(rows)


def pooled_scores(scores: pd.DataFrame) -> pd.DataFrame:
    order = [IID, BOOTSTRAP, COUPLED, "over-training", "kaplan-nd-floor", STACK, POOLED, DEFAULT]
    both = set(scores.loc[scores["model"] == POOLED, "data set"])
    rows = [summary(quoted(model), scores[scores["model"] == model]) for model in order]
    rows += [
        summary(
            f"{quoted(model)}, where there are families",
            scores[(scores["model"] == model) & scores["data set"].isin(both)],
        )
        for model in (IID, DEFAULT)
    ]
    return pd.DataFrame(rows)


def summary(name: str, group: pd.DataFrame) -> dict[str, str]:
    mean = weighted(group)
    sets = group.groupby("data set")[list(group)].apply(lambda g: weighted(g)["coverage_90"])
    return {
        "model": name,
        "held-out runs": f"{group['n_test'].sum():.0f}",
        "50 % cover": f"{mean['coverage_50']:.2f}",
        "90 % cover": f"{mean['coverage_90']:.2f}",
        "worst data set": f"{sets.min():.2f}",
        "RMSE": f"{100 * np.sqrt(mean['square']):.2f}",
        "interval score": f"{100 * mean['interval_score_90']:.2f}",
        "CRPS": f"{100 * mean['crps']:.2f}",
        "width": f"{100 * mean['width_90']:.2f}",
        "fits that failed": f"{int((~group['ok'].astype(bool)).sum())} of {len(group)}",
    }


def weighted(group: pd.DataFrame) -> pd.Series:
    columns = ["coverage_50", "coverage_90", "interval_score_90", "crps", "width_90"]
    table = group[columns].assign(square=group["rmsle"] ** 2)
    return table.mul(group["n_test"], axis=0).sum() / group["n_test"].sum()


def verdict(scores: pd.DataFrame) -> str:
    def row(model: str) -> tuple[pd.Series, float]:
        group = scores[scores["model"] == model]
        sets = group.groupby("data set")[list(group)].apply(lambda g: weighted(g)["coverage_90"])
        return weighted(group), float(sets.min())

    default, worst = row(DEFAULT)
    iid, _ = row(IID)
    bootstrap, _ = row(BOOTSTRAP)
    met = [
        (
            "coverage of nominal 90 % intervals between 0.85 and 0.95, pooled",
            f"{default['coverage_90']:.2f}",
            0.85 <= default["coverage_90"] <= 0.95,
        ),
        ("no data set below 0.75", f"{worst:.2f}", worst >= 0.75),
        (
            "a lower mean interval score than independent scatter and than the bootstrap",
            f"{100 * default['interval_score_90']:.1f} against "
            f"{100 * iid['interval_score_90']:.1f} and {100 * bootstrap['interval_score_90']:.1f}",
            default["interval_score_90"] < min(iid["interval_score_90"],
                                               bootstrap["interval_score_90"]),
        ),
    ]  # fmt: skip
    return markdown(
        pd.DataFrame(
            [
                {"what the default card must show": what, "found": found, "met": met_or_not(yes)}
                for what, found, yes in met
            ]
        )
    )


def met_or_not(yes: bool) -> str:
    return "yes" if yes else "**no**"


def quoted(model: str) -> str:
    return model if " " in model else f"`{model}`"


# --- larger runs of tables that had no say ------------------------------------------------------


def held_out_elsewhere(bench: Bench, sets: dict[str, dict[str, bs.Runs]]) -> Iterator[str]:
    parts = []
    for data_set, tables in sets.items():
        for name, runs in tables.items():
            scores = bench.scores((IID, DEFAULT), runs, cuts_of(runs)).reset_index()
            parts.append(scores.assign(**{"data set": data_set, "table": name}))
        print(data_set, "held out", flush=True)
    found = pd.concat(parts)
    lines = [other_row(name, group) for name, group in found.groupby("data set", sort=False)]
    yield "\n".join(
        [
            "## Larger runs of tables that had no say",
            "",
            "The priors of the default card were settled on the tables above. These are the rest "
            "of the same sources, scored once, after that: other learning rates, other texts to "
            "validate on, sparse models, and sizes counted otherwise. Within a source many are of "
            "the same runs, so the rows are fewer witnesses than they look. The least cover is of "
            "one table over its three cuts.",
            "",
            markdown(pd.DataFrame([*lines, other_row("**all**", found)])),
        ]
    )


def other_row(name: str, group: pd.DataFrame) -> dict[str, str]:
    by_card = {card: group[group["model"] == card] for card in (IID, DEFAULT)}
    mean = {card: weighted(scores) for card, scores in by_card.items()}
    default = by_card[DEFAULT]
    tables = default.groupby(["data set", "table"])[list(default)]
    return {
        "data set": name,
        "tables": str(tables.ngroups),
        "held-out runs": f"{default['n_test'].sum():.0f}",
        **{f"90 % cover, `{card}`": f"{mean[card]['coverage_90']:.2f}" for card in mean},
        f"least, `{DEFAULT}`": f"{tables.apply(lambda g: weighted(g)['coverage_90']).min():.2f}",
        **{
            f"interval score, `{card}`": f"{100 * mean[card]['interval_score_90']:.2f}"
            for card in mean
        },
        f"fits that failed, `{DEFAULT}`": f"{int((~default['ok'].astype(bool)).sum())} "
        f"of {len(default)}",
    }


# --- simulations from a law that is right -------------------------------------------------------


def well_specified(bench: Bench, sets: dict[str, dict[str, bs.Runs]]) -> Iterator[str]:
    rows = []
    for data_set, tables in sets.items():
        for name, runs in tables.items():
            tasks = [
                Task(f"well-specified {data_set} {name} {repeat} {card}", (runs, repeat, card))
                for repeat in range(REPEATS)
                for card in (IID, DEFAULT)
            ]
            for task, row in zip(tasks, bench.tasks(score_simulated, tasks), strict=True):
                rows.append({"data set": data_set, "table": name, "card": task.arguments[2], **row})
        print(data_set, "well specified", flush=True)
    found = pd.DataFrame(rows)
    lines = []
    for (data_set, table), group in found.groupby(["data set", "table"], sort=False):
        iid, default = (group[group["card"] == card] for card in (IID, DEFAULT))
        name = data_set if table == "all" else f"{data_set}, {table}"
        lines.append(width_row(name, iid, default))
    large = found[found["n_train"] >= 2 * 24]
    for name, part in (
        ("all", found),
        ("tables with 48 fitted runs or more", large),
        ("smaller ones", found[found["n_train"] < 2 * 24]),
    ):
        iid, default = (part[part["card"] == card] for card in (IID, DEFAULT))
        lines.append(width_row(f"**{name}**", iid, default))
    yield "\n".join(
        [
            "## When the law is right",
            "",
            "The losses of each table replaced by simulated ones: Chinchilla's law at the "
            "constants of Besiroglu et al., with a Student-t scatter of 0.4 % (10 degrees of "
            f"freedom), {REPEATS} times; fitted below the cut at 65 %. What the default card costs "
            "there is the ratio of the widths of its 90 % intervals to those of independent "
            "scatter, which are then the right ones. Of the shares, the standard error over "
            "simulated tables.",
            "",
            markdown(pd.DataFrame(lines)),
        ]
    )


def score_simulated(runs: bs.Runs, repeat: int, card: str | bs.Model) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    rng = np.random.default_rng([SEED, repeat])
    constants = bs.published("besiroglu2024-log")
    table = runs.table[["n_params", "n_tokens"]]
    mean = bs.law("chinchilla").evaluate(
        n_params=runs.n_params, n_tokens=runs.n_tokens, **constants.parameters
    )
    simulated_runs = load(table.assign(loss=mean * np.exp(0.004 * rng.standard_t(10, len(runs)))))
    below = simulated_runs.compute < np.quantile(simulated_runs.compute, 0.65)
    facts, _ = fit_and_score(
        bs.load_model(card),
        simulated_runs.where(below),
        simulated_runs.where(~below),
        seed=SEED,
    )
    return facts


def width_row(name: str, iid: pd.DataFrame, default: pd.DataFrame) -> dict[str, str]:
    narrow, wide = weighted(iid), weighted(default)
    return {
        "design": name,
        "fitted": f"{iid['n_train'].mean():.0f}",
        f"90 % cover, `{IID}`": with_error(iid),
        f"90 % cover, `{DEFAULT}`": with_error(default),
        f"width, `{IID}`": f"{100 * narrow['width_90']:.2f}",
        "ratio of widths": f"{wide['width_90'] / narrow['width_90']:.2f}",
    }


def with_error(group: pd.DataFrame) -> str:
    """Return the share of covered runs, and its error: runs of one table share those of its fit."""
    share = weighted(group)["coverage_90"]
    off = group["n_test"] * (group["coverage_90"] - share)
    error = np.sqrt((off**2).sum() * len(group) / (len(group) - 1)) / group["n_test"].sum()
    return f"{share:.3f} ± {error:.3f}"


# --- what a narrower or wider prior would trade -------------------------------------------------


def trade_off(bench: Bench, sets: dict[str, dict[str, bs.Runs]]) -> Iterator[str]:
    default = bs.load_model(DEFAULT)
    lines = []
    own = default.discrepancy.scale.median
    for median in MEDIANS:
        drift = replace(
            default.discrepancy, scale=replace(default.discrepancy.scale, median=median)
        )
        card = replace(default, id=f"{DEFAULT}, {median:g}", discrepancy=drift)
        card = default if median == own else card
        held_out, simulated = [], {IID: [], card.id: []}
        for data_set, tables in sets.items():
            for name, runs in tables.items():
                cut = float(np.quantile(runs.compute, TRADED_SHARE))
                scores = bench.scores([card], runs, [cut]).reset_index()
                held_out.append(scores.assign(**{"data set": data_set}))
                for model in (bs.load_model(IID), card):
                    tasks = [
                        Task(
                            f"well-specified {data_set} {name} {repeat} {model.id}",
                            (runs, repeat, model),
                        )
                        for repeat in range(TRADED_REPEATS)
                    ]
                    simulated[model.id] += bench.tasks(score_simulated, tasks)
        found = pd.concat(held_out)
        mean = weighted(found)
        by_set = found.groupby("data set")[list(found)].apply(
            lambda group: weighted(group)["coverage_90"]
        )
        right, narrow = (weighted(pd.DataFrame(simulated[name])) for name in (card.id, IID))
        lines.append(
            {
                "median of the drift": f"{median:g}",
                "90 % cover": f"{mean['coverage_90']:.2f}",
                "worst data set": f"{by_set.min():.2f}",
                "interval score": f"{100 * mean['interval_score_90']:.2f}",
                "width": f"{100 * mean['width_90']:.2f}",
                "right law: 90 % cover": f"{right['coverage_90']:.3f}",
                "right law: ratio of widths": f"{right['width_90'] / narrow['width_90']:.2f}",
            }
        )
        print("traded", median, flush=True)
    yield "\n".join(
        [
            "## What a narrower or wider prior would trade",
            "",
            "The default card with other medians of the prior on the drift "
            f"({own:g} is its own), at the cut at "
            f"{100 * TRADED_SHARE:.0f} %: on the held-out runs of all tables, and on "
            f"{TRADED_REPEATS} simulations of each from a law that is right.",
            "",
            markdown(pd.DataFrame(lines)),
        ]
    )


# --- a new corpus with a few runs ---------------------------------------------------------------


def new_corpora(bench: Bench, runs: bs.Runs) -> Iterator[str]:
    tasks = [
        Task(f"new corpus {family} {count} {kind}", (runs, family, count, kind))
        for family in runs.families
        for count in FEW
        for kind in ("none", "complete", POOLED, CORPORA)
    ]
    rows = [
        {"runs": task.arguments[2], "pooling": task.arguments[3], **row}
        for task, row in zip(tasks, bench.tasks(score_new_corpus, tasks), strict=True)
    ]
    found = pd.DataFrame(rows)
    lines = []
    for (count, kind), group in found.groupby(["runs", "pooling"], sort=False):
        mean = weighted(group)
        lines.append(
            {
                "runs": count,
                "pooling": quoted(kind) if kind in (POOLED, CORPORA) else kind,
                "RMSE": f"{100 * np.sqrt(mean['square']):.2f}",
                "90 % cover": f"{mean['coverage_90']:.2f}",
                "width": f"{100 * mean['width_90']:.2f}",
                "interval score": f"{100 * mean['interval_score_90']:.2f}",
                "fits that failed": f"{int((~group['ok']).sum())} of {len(group)}",
            }
        )
    print("new corpora", flush=True)
    table = pd.DataFrame(lines).sort_values("runs", kind="stable")
    yield "\n".join(
        [
            "## A new corpus with a few small runs",
            "",
            "Each corpus of `overtraining` in turn: its smallest runs and all runs of the other "
            "two are fitted, and its runs above the median compute predicted. Without pooling its "
            "parameters are its own (a standard deviation of one on the log scale); with complete "
            f"pooling there are no differences. The card `{POOLED}` pools floor, terms and "
            f"exponents partially, as of families whose recipes differ; `{CORPORA}` the floor "
            "alone, as of corpora under one recipe, which these are. All three corpora together; "
            "scores in per cent of loss.",
            "",
            markdown(table),
        ]
    )


def score_new_corpus(runs: bs.Runs, family: str, count: int, kind: str) -> dict:
    warnings.simplefilter("ignore", BayescaleWarning)
    new = runs.table["family"].to_numpy() == family
    smallest = np.argsort(np.where(new, runs.compute, np.inf), kind="stable")[:count]
    known = ~new
    known[smallest] = True
    large = new & (runs.compute > np.median(runs.compute[new]))
    model = bs.load_model(kind if kind in (POOLED, CORPORA) else POOLED)
    if kind != model.id:
        why = "to compare with"
        sd = {"none": 1.0, "complete": None}[kind]
        pooling = tuple(replace(p, kind=kind, sd=sd, why=why) for p in model.pooling)
        model = replace(model, pooling=pooling, id=f"{POOLED}-{kind}")
    try:
        facts, _ = fit_and_score(model, runs.where(known), runs.where(large), seed=SEED)
    except (RunsError, SamplingError) as error:
        return {"ok": False, "status": str(error)}
    return facts


# --- simulation-based calibration ---------------------------------------------------------------


def simulated(bench: Bench) -> Iterator[str]:
    rows: list[dict[str, str]] = []
    pairs = [(name, card) for name in designs() for card in SIMULATED_CARDS]
    # The slowest posteriors last.
    for name, card in sorted(pairs, key=lambda pair: pair[1] == POOLED):
        # A set that does not look uniform is asked again, with more simulations of another seed;
        # both are shown.
        for seed, count in ((SEED, SIMULATIONS), (SEED + 1, 2 * SIMULATIONS)):
            result = bs.sbc(
                card,
                designs()[name],
                count,
                seed=seed,
                executor=bench.executor,
                store=bench.store,
                progress=False,
            )
            print(card, name, result.ok(), flush=True)
            rows.append(simulated_row(card, name, result))
            yield simulations_page(rows)
            if result.ok():
                break


def simulations_page(rows: list[dict[str, str]]) -> str:
    done = {(row["design"], row["card"]) for row in rows}
    pairs = ((name, f"`{card}`") for name in designs() for card in SIMULATED_CARDS)
    missing = ", ".join(f"{card} on {name}" for name, card in pairs if (name, card) not in done)
    return "\n".join(
        [
            "## Truths drawn from the prior",
            "",
            "Simulation-based calibration: ranks of the truth among posterior draws are uniform if "
            "model and sampler agree. Spread is their standard deviation over that of a uniform. A "
            "set that does not look uniform is followed by twice as many simulations of another "
            "seed. On the diagonal the two terms can trade places; `fit` refuses such a design, "
            "and `sbc` warns of it before it samples. Where draws stay too dependent to rank "
            "among, the truth is ranked along a reversible chain that passes it, which is exact "
            "however slow the chain, but tells less of a model that is wrong the slower it is."
            + (f" Not simulated yet: {missing}." if missing else ""),
            "",
            markdown(pd.DataFrame(rows)),
        ]
    )


def simulated_row(card: str, design: str, result: bs.Sbc) -> dict[str, str]:
    table = result.table()
    worst, least = table["p_value"].idxmin(), table["p_value"].min()
    return {
        "card": f"`{card}`",
        "design": design,
        "simulations": str(len(result.ranks)),
        "uniform": "yes" if result.ok() else "**no**",
        "least p-value": (f"{least:.4f}" if least > 0 else "below 0.0003") + f" ({worst})",
        "spread of ranks": f"{table['spread'].min():.2f} to {table['spread'].max():.2f}",
        "ranked along a chain": f"{result.sampler['along_chain'].sum():.0f}",
    }


if __name__ == "__main__":
    main()
