"""The page: every number of it is of the results of the studies."""

from collections.abc import Mapping

import pandas as pd

from bayescale.validation.coverage import pooled_scores
from benchmarks.calibration.cards import (
    BOOTSTRAP,
    CORPORA,
    COUPLED,
    DEFAULT,
    IID,
    POOLED,
    REPEATS,
    SIMULATED_CARDS,
    STACK,
    STACKED,
    TRADED_REPEATS,
    TRADED_SHARE,
)
from benchmarks.calibration.tables import designs
from benchmarks.public_tables import markdown


def render(results: Mapping[str, pd.DataFrame]) -> str:
    """Return docs/calibration.md, from the results of every study by its name."""
    sections = {
        "held_out": held_out,
        "held_out_elsewhere": held_out_elsewhere,
        "well_specified": well_specified,
        "trade_off": trade_off,
        "new_corpora": new_corpora,
        "simulations": simulations,
    }
    parts = [head(results), *(section(results[name]) for name, section in sections.items())]
    return "\n\n".join(parts) + "\n"


def head(results: Mapping[str, pd.DataFrame]) -> str:
    made_by = dict.fromkeys(
        f"bayescale {found.attrs['bayescale']}, seed {found.attrs['seed']}"
        for found in results.values()
    )
    return (
        "# Do the intervals cover?\n\n"
        f"Made by `make calibration TABLES=folder` ({'; '.join(made_by)}); do not edit."
    )


# --- larger runs held out -----------------------------------------------------------------------


def held_out(scores: pd.DataFrame) -> str:
    return "\n".join(
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
            markdown(summaries(scores)),
            "",
            markdown(verdict(scores)),
        ]
    )


def coverage_table(scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (data_set, table), group in scores.groupby(["data set", "table"], sort=False):
        cells = {}
        for model in (IID, COUPLED, POOLED, DEFAULT, BOOTSTRAP, STACK):
            found = group[group["model"] == model].sort_values("cut")
            cells[quoted(model)] = " / ".join(
                f"{row['coverage_90']:.2f}" + ("" if row["ok"] else "\\*")
                for _, row in found.iterrows()
            )
        tested = group[group["model"] == IID].sort_values("cut")["n_test"]
        held = " / ".join(f"{count:.0f}" for count in tested)
        rows.append({"table": full_name(data_set, table), "held out": held, **cells})
    return pd.DataFrame(rows)


def summaries(scores: pd.DataFrame) -> pd.DataFrame:
    order = (IID, BOOTSTRAP, COUPLED, "over-training", "kaplan-nd-floor", STACK, POOLED, DEFAULT)
    with_families = set(scores.loc[scores["model"] == POOLED, "data set"])
    rows = [summary(quoted(model), of(scores, model)) for model in order]
    rows += [
        summary(
            f"{quoted(model)}, where there are families",
            of(scores[scores["data set"].isin(with_families)], model),
        )
        for model in (IID, DEFAULT)
    ]
    return pd.DataFrame(rows)


def summary(name: str, group: pd.DataFrame) -> dict[str, str]:
    mean = pooled(group)
    return {
        "model": name,
        "held-out runs": f"{mean['n_test']:.0f}",
        "50 % cover": f"{mean['coverage_50']:.2f}",
        "90 % cover": f"{mean['coverage_90']:.2f}",
        "worst data set": f"{worst(group, 'data set'):.2f}",
        "RMSE": per_cent(mean["rmsle"]),
        "interval score": per_cent(mean["interval_score_90"]),
        "CRPS": per_cent(mean["crps"]),
        "width": per_cent(mean["width_90"]),
        "fits that failed": failed(mean),
    }


def verdict(scores: pd.DataFrame) -> pd.DataFrame:
    default, iid, bootstrap = (pooled(of(scores, model)) for model in (DEFAULT, IID, BOOTSTRAP))
    least = worst(of(scores, DEFAULT), "data set")
    interval = [found["interval_score_90"] for found in (default, iid, bootstrap)]
    texts = [f"{100 * score:.1f}" for score in interval]
    met = [
        (
            "coverage of nominal 90 % intervals between 0.85 and 0.95, pooled",
            f"{default['coverage_90']:.2f}",
            0.85 <= default["coverage_90"] <= 0.95,
        ),
        ("no data set below 0.75", f"{least:.2f}", least >= 0.75),
        (
            "a lower mean interval score than independent scatter and than the bootstrap",
            f"{texts[0]} against {texts[1]} and {texts[2]}",
            interval[0] < min(interval[1:]),
        ),
    ]
    return pd.DataFrame(
        [
            {
                "what the default card must show": what,
                "found": found,
                "met": "yes" if yes else "**no**",
            }
            for what, found, yes in met
        ]
    )


def held_out_elsewhere(scores: pd.DataFrame) -> str:
    lines = [other_row(name, group) for name, group in scores.groupby("data set", sort=False)]
    return "\n".join(
        [
            "## Larger runs of tables that had no say",
            "",
            "The priors of the default card were settled on the tables above. These are the rest "
            "of the same sources, scored once, after that: other learning rates, other texts to "
            "validate on, sparse models, and sizes counted otherwise. Within a source many are of "
            "the same runs, so the rows are fewer witnesses than they look. The least cover is of "
            "one table over its three cuts.",
            "",
            markdown(pd.DataFrame([*lines, other_row("**all**", scores)])),
        ]
    )


def other_row(name: str, group: pd.DataFrame) -> dict[str, str]:
    mean = {card: pooled(of(group, card)) for card in (IID, DEFAULT)}
    default = of(group, DEFAULT)
    by_table = pooled_scores(default, by=["data set", "table"])
    return {
        "data set": name,
        "tables": str(len(by_table)),
        "held-out runs": f"{mean[DEFAULT]['n_test']:.0f}",
        **{f"90 % cover, `{card}`": f"{mean[card]['coverage_90']:.2f}" for card in mean},
        f"least, `{DEFAULT}`": f"{by_table['coverage_90'].min():.2f}",
        **{f"interval score, `{c}`": per_cent(mean[c]["interval_score_90"]) for c in mean},
        f"fits that failed, `{DEFAULT}`": failed(mean[DEFAULT]),
    }


# --- simulations from a law that is right -------------------------------------------------------


def well_specified(scores: pd.DataFrame) -> str:
    lines = [
        width_row(full_name(data_set, table), group)
        for (data_set, table), group in scores.groupby(["data set", "table"], sort=False)
    ]
    large = scores["n_train"] >= 2 * 24
    for name, part in (
        ("all", scores),
        ("tables with 48 fitted runs or more", scores[large]),
        ("smaller ones", scores[~large]),
    ):
        lines.append(width_row(f"**{name}**", part))
    return "\n".join(
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


def width_row(name: str, group: pd.DataFrame) -> dict[str, str]:
    iid, default = (group[group["card"] == card] for card in (IID, DEFAULT))
    narrow, wide = pooled(iid), pooled(default)
    return {
        "design": name,
        "fitted": f"{iid['n_train'].mean():.0f}",
        f"90 % cover, `{IID}`": with_error(narrow),
        f"90 % cover, `{DEFAULT}`": with_error(wide),
        f"width, `{IID}`": per_cent(narrow["width_90"]),
        "ratio of widths": f"{wide['width_90'] / narrow['width_90']:.2f}",
    }


# --- what a narrower or wider prior would trade -------------------------------------------------


def trade_off(scores: pd.DataFrame) -> str:
    lines = []
    for median, group in scores.groupby("median"):
        held, right, narrow = (
            group[group["of"] == what] for what in ("held out", "simulated", "simulated, iid")
        )
        mean, of_right, of_narrow = pooled(held), pooled(right), pooled(narrow)
        lines.append(
            {
                "median of the drift": f"{median:g}",
                "90 % cover": f"{mean['coverage_90']:.2f}",
                "worst data set": f"{worst(held, 'data set'):.2f}",
                "interval score": per_cent(mean["interval_score_90"]),
                "width": per_cent(mean["width_90"]),
                "right law: 90 % cover": f"{of_right['coverage_90']:.3f}",
                "right law: ratio of widths": f"{of_right['width_90'] / of_narrow['width_90']:.2f}",
            }
        )
    return "\n".join(
        [
            "## What a narrower or wider prior would trade",
            "",
            "The default card with other medians of the prior on the drift "
            f"({scores['own'].iloc[0]:g} is its own), at the cut at "
            f"{100 * TRADED_SHARE:.0f} %: on the held-out runs of all tables, and on "
            f"{TRADED_REPEATS} simulations of each from a law that is right.",
            "",
            markdown(pd.DataFrame(lines)),
        ]
    )


# --- a new corpus with a few runs ---------------------------------------------------------------


def new_corpora(scores: pd.DataFrame) -> str:
    lines = []
    for (count, kind), group in scores.groupby(["runs", "pooling"], sort=False):
        mean = pooled(group)
        lines.append(
            {
                "runs": count,
                "pooling": quoted(kind) if kind in (POOLED, CORPORA) else kind,
                "RMSE": per_cent(mean["rmsle"]),
                "90 % cover": f"{mean['coverage_90']:.2f}",
                "width": per_cent(mean["width_90"]),
                "interval score": per_cent(mean["interval_score_90"]),
                "fits that failed": failed(mean),
            }
        )
    return "\n".join(
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
            markdown(pd.DataFrame(lines).sort_values("runs", kind="stable")),
        ]
    )


# --- simulation-based calibration ---------------------------------------------------------------


def simulations(sets: pd.DataFrame) -> str:
    done = set(zip(sets["card"], sets["design"], strict=True))
    pairs = [(card, name) for name in designs() for card in SIMULATED_CARDS]
    missing = ", ".join(f"`{card}` on {name}" for card, name in pairs if (card, name) not in done)
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
            markdown(pd.DataFrame([simulated_row(row) for _, row in sets.iterrows()])),
        ]
    )


def simulated_row(row: pd.Series) -> dict[str, str]:
    least = f"{row['least_p']:.4f}" if row["least_p"] > 0 else "below 0.0003"
    return {
        "card": f"`{row['card']}`",
        "design": row["design"],
        "simulations": str(row["simulations"]),
        "uniform": "yes" if row["uniform"] else "**no**",
        "least p-value": f"{least} ({row['least_p_of']})",
        "spread of ranks": f"{row['spread_min']:.2f} to {row['spread_max']:.2f}",
        "ranked along a chain": str(row["along_chain"]),
    }


# --- cells --------------------------------------------------------------------------------------


def of(scores: pd.DataFrame, model: str) -> pd.DataFrame:
    return scores[scores["model"] == model]


def pooled(group: pd.DataFrame) -> pd.Series:
    return pooled_scores(group).loc["all"]


def worst(group: pd.DataFrame, by: str) -> float:
    return float(pooled_scores(group, by=by)["coverage_90"].min())


def with_error(found: pd.Series) -> str:
    return f"{found['coverage_90']:.3f} ± {found['coverage_90_se']:.3f}"


def per_cent(value: float) -> str:
    return f"{100 * value:.2f}"


def failed(found: pd.Series) -> str:
    return f"{found['n_failed']:.0f} of {found['n_fits']:.0f}"


def full_name(data_set: str, table: str) -> str:
    return data_set if table == "all" else f"{data_set}, {table}"


def quoted(model: str) -> str:
    return model if " " in model else f"`{model}`"
