"""The page, rendered from the results of the studies."""

from collections.abc import Mapping

import pandas as pd

from bayescale.validation.coverage import pooled_scores
from benchmarks.calibration.cards import (
    BANDS,
    BOOTSTRAP,
    CARDS,
    CORPORA,
    COUPLED,
    DEFAULT,
    IID,
    POOLED,
    REPEATS,
    STACK,
    TRADED_SHARE,
)
from benchmarks.calibration.optima import OPTIMA_CARDS, WIDTH
from benchmarks.calibration.priors import ALL
from benchmarks.public_tables import markdown

MODELS = (IID, BOOTSTRAP, COUPLED, "kaplan-nd-floor", STACK, DEFAULT)
COVERS = ("50 % coverage", "90 % coverage")
BAND_NAMES = {"near": "within 1", "middle": "1 to 2.3", "far": "beyond 2.3"}


def render(results: Mapping[str, pd.DataFrame]) -> str:
    """Return docs/calibration.md from the results of every study, by name."""
    sections = {
        "priors": priors,
        "held_out": held_out,
        "held_out_elsewhere": held_out_elsewhere,
        "optima": optima,
        "well_specified": well_specified,
        "trade_off": trade_off,
        "new_corpora": new_corpora,
    }
    parts = [head(results), *(section(results[name]) for name, section in sections.items())]
    return "\n\n".join(parts) + "\n"


def head(results: Mapping[str, pd.DataFrame]) -> str:
    made_by = dict.fromkeys(
        f"bayescale {found.attrs['bayescale']}, seed {found.attrs['seed']}"
        for found in results.values()
    )
    return (
        "# Coverage of intervals\n\n"
        f"Made by `make calibration TABLES=folder` ({'; '.join(made_by)}); do not edit."
    )


# --- priors learnt from sources ------------------------------------------------------------------


def priors(rows: pd.DataFrame) -> str:
    lines = []
    for source, group in rows.groupby("source", sort=False):
        cells = {
            row["quantity"]: f"{row['median']:.2g} x {row['factor']:.2f}"
            for _, row in group.iterrows()
        }
        lines.append({"source": f"**{source}**" if source == ALL else source, **cells})
    return "\n".join(
        [
            "## Priors of the default card",
            "",
            f"`{DEFAULT}` with wide priors is fitted to every table, and `bs.learn_prior` "
            "estimates the population of sources, with equal weights of sources however many "
            "tables each has. Medians, and factors of one standard deviation of the log, of each "
            "source (the mean over its tables) and of the prior of a new source. "
            "`make prior TABLES=folder` writes the last row into the card. All held-out scores "
            "below use priors learnt **without the source that is predicted**. "
            "`sd_loss_by_n_params` is the standard deviation of the error that runs of one size "
            "share; it is not estimated from tables with fewer than eight sizes of three runs.",
            "",
            markdown(pd.DataFrame(lines).fillna("")),
        ]
    )


# --- larger runs held out -----------------------------------------------------------------------


def held_out(scores: pd.DataFrame) -> str:
    return "\n".join(
        [
            "## Held-out larger runs, leave one source out",
            "",
            "Each model is fitted to the runs below a cut in compute and predicts those above; the "
            "cuts leave 50, 65 and 80 % of the runs below. Shares of held-out runs inside the 90 % "
            "predictive interval, at the three cuts; a star marks a fit that failed its gates. "
            f"`{DEFAULT}` is the default card with priors learnt from the other sources, `{IID}` "
            f"and `{COUPLED}` are laws with independent Student-t noise and wide priors, and the "
            f"stack of {', '.join(f'`{card}`' for card in CARDS)} has weights from predictions of "
            "the larger of the runs below the cut. The bootstrap is parametric, of a least-squares "
            "fit of Chinchilla's law.",
            "",
            markdown(coverage_table(scores)),
            "",
            "All sources, with equal weights: the mean over cuts, then tables, then sources, with "
            "the standard error over sources, and the source with the lowest 90 % coverage. Log "
            "score is per run, of log loss; the other scores are on log loss in per cent, lower is "
            "better.",
            "",
            markdown(pd.DataFrame([summary(m, of(scores, m)) for m in MODELS])),
            "",
            "By distance from the largest fitted run, in e-folds of compute: shares inside the "
            "90 % interval.",
            "",
            markdown(by_distance(scores)),
            "",
            "The interval score of every source, in per cent.",
            "",
            markdown(by_source(scores)),
            "",
            markdown(verdict(scores)),
        ]
    )


def coverage_table(scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (source, table), group in scores.groupby(["source", "table"], sort=False):
        cells = {}
        for model in MODELS:
            found = of(group, model).sort_values("cut")
            cells[quoted(model)] = " / ".join(
                f"{row['coverage_90']:.2f}" + ("" if row["ok"] else "\\*")
                for _, row in found.iterrows()
            )
        tested = of(group, DEFAULT).sort_values("cut")["n_test"]
        counts = " / ".join(f"{count:.0f}" for count in tested)
        rows.append({"table": full_name(source, table), "held out": counts, **cells})
    return pd.DataFrame(rows)


def summary(model: str, group: pd.DataFrame) -> dict[str, str]:
    sources = source_means(group)
    mean, error = sources.mean(), sources.sem()
    return {
        "model": quoted(model),
        **{
            f"{p} % coverage": f"{mean[f'coverage_{p}']:.2f} ± {error[f'coverage_{p}']:.2f}"
            for p in (50, 80, 90, 95)
        },
        "lowest source": f"{sources['coverage_90'].min():.2f}",
        "RMSE": per_cent(mean["rmsle"]),
        "interval score": per_cent(mean["interval_score_90"]),
        "CRPS": per_cent(mean["crps"]),
        "log score": f"{mean['log_score']:.2f}",
        "width": per_cent(mean["width_90"]),
        "fits that failed": failed(group),
    }


def by_distance(scores: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for model in MODELS:
        sources = source_means(of(scores, model))
        cells = {
            BAND_NAMES[band]: f"{sources[f'inside_{band}'].mean():.2f} "
            f"± {sources[f'inside_{band}'].sem():.2f}"
            for band in BANDS
        }
        rows.append({"model": quoted(model), **cells})
    return pd.DataFrame(rows)


def by_source(scores: pd.DataFrame) -> pd.DataFrame:
    found = {
        quoted(model): source_means(of(scores, model))["interval_score_90"].map(per_cent)
        for model in MODELS
    }
    return pd.DataFrame(found).rename_axis("source").reset_index()


def verdict(scores: pd.DataFrame) -> pd.DataFrame:
    default, coupled = (source_means(of(scores, model)) for model in (DEFAULT, COUPLED))
    cover, least = default["coverage_90"].mean(), default["coverage_90"].min()
    ratio = default["interval_score_90"].mean() / coupled["interval_score_90"].mean()
    errors = [found["rmsle"].mean() for found in (default, coupled)]
    bands = [default[f"inside_{band}"].mean() for band in BANDS]
    met = [
        (
            "coverage of nominal 90 % intervals between 0.87 and 0.94",
            f"{cover:.2f}",
            0.87 <= cover <= 0.94,
        ),
        ("no source below 0.75", f"{least:.2f}", least >= 0.75),
        (
            "each band of distance between 0.83 and 0.96",
            ", ".join(f"{band:.2f}" for band in bands),
            all(0.83 <= band <= 0.96 for band in bands),
        ),
        (
            f"interval score at most 0.6 of that of `{COUPLED}`",
            f"{ratio:.2f}",
            ratio <= 0.6,
        ),
        (
            f"RMSE no larger than that of `{COUPLED}`",
            " against ".join(map(per_cent, errors)),
            errors[0] <= errors[1],
        ),
    ]
    return pd.DataFrame(
        [
            {
                "target for the default card": what,
                "found": found,
                "met": "yes" if yes else "**no**",
            }
            for what, found, yes in met
        ]
    )


def held_out_elsewhere(scores: pd.DataFrame) -> str:
    lines = [other_row(name, group) for name, group in scores.groupby("source", sort=False)]
    return "\n".join(
        [
            "## Other tables of the same sources",
            "",
            "No prior is learnt from these tables, of other learning rates, other validation "
            "texts, sparse models, and other counting of sizes. The priors leave out their source "
            "too. Many tables of a source share runs, so they are not independent. The lowest "
            "coverage is that of one table over its three cuts.",
            "",
            markdown(pd.DataFrame(lines)),
        ]
    )


def other_row(name: str, group: pd.DataFrame) -> dict[str, str]:
    mean = {card: source_means(of(group, card)).loc[name] for card in (COUPLED, DEFAULT)}
    by_table = of(group, DEFAULT).groupby("table")["coverage_90"].mean()
    return {
        "source": name,
        "tables": str(len(by_table)),
        **{f"90 % coverage, `{card}`": f"{mean[card]['coverage_90']:.2f}" for card in mean},
        f"lowest, `{DEFAULT}`": f"{by_table.min():.2f}",
        **{f"interval score, `{c}`": per_cent(mean[c]["interval_score_90"]) for c in mean},
        f"fits that failed, `{DEFAULT}`": failed(of(group, DEFAULT)),
    }


# --- optimal sizes ------------------------------------------------------------------------------


def optima(found: pd.DataFrame) -> str:
    return "\n".join(
        [
            "## The optimal size at larger budgets",
            "",
            "Each card is fitted to the runs below the cuts, and predicts N_opt at the budgets "
            "above them whose runs have a minimum: the vertex of a parabola of the loss in ln N, "
            f"fitted to the sizes within a factor of {WIDTH:g} of the best one. Coverage is the "
            "share of these optima inside the interval of N_opt, to which the standard error of "
            "the vertex is added; the mean over budgets, cuts, tables and then sources, with the "
            "standard error over sources. The error is of ln N_opt (root mean square), and the "
            "width is that of the 90 % interval of ln N_opt without the error of the vertex.",
            "",
            markdown(pd.DataFrame([optima_row(card, found) for card in OPTIMA_CARDS])),
            "",
            f"By source, `{DEFAULT}`:",
            "",
            markdown(pd.DataFrame(optima_by_source(of(found, DEFAULT)))),
        ]
    )


def optima_means(found: pd.DataFrame) -> pd.DataFrame:
    """Return the means over budgets, then cuts, then tables, by source."""
    scores = pd.DataFrame(
        {
            **found[["source", "table", "cut", "width"]],
            **{
                f"{p} % coverage": found["rank"].sub(0.5).abs().le(p / 200).astype(float)
                for p in (50, 90)
            },
            "square": found["error"] ** 2,
        }
    )
    for key in ("cut", "table"):
        keys = ["source", "table", "cut"][: 3 if key == "cut" else 2]
        scores = scores.groupby(keys, sort=False).mean(numeric_only=True).reset_index()
    means = scores.drop(columns="cut").groupby("source", sort=False).mean(numeric_only=True)
    return means.assign(error=means["square"] ** 0.5)


def optima_row(card: str, found: pd.DataFrame) -> dict[str, str]:
    sources = optima_means(of(found, card))
    mean = sources.mean()
    return {
        "model": quoted(card),
        **{f"{name}": f"{mean[name]:.2f} ± {sources[name].sem():.2f}" for name in COVERS},
        "lowest source": f"{sources['90 % coverage'].min():.2f}",
        "error": f"{mean['square'] ** 0.5:.3f}",
        "width": f"{mean['width']:.2f}",
        "optima": str(len(of(found, card))),
    }


def optima_by_source(found: pd.DataFrame) -> list[dict[str, str]]:
    counts = found.groupby("source").size()
    return [
        {
            "source": str(source),
            "optima": str(counts[source]),
            "90 % coverage": f"{row['90 % coverage']:.2f}",
            "error": f"{row['error']:.3f}",
            "width": f"{row['width']:.2f}",
        }
        for source, row in optima_means(found).iterrows()
    ]


# --- simulations from a law that is right -------------------------------------------------------


def well_specified(scores: pd.DataFrame) -> str:
    lines = [
        width_row(full_name(source, table), group)
        for (source, table), group in scores.groupby(["source", "table"], sort=False)
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
            "## Losses simulated from the law",
            "",
            "The losses of each table are replaced by simulated ones: Chinchilla's law with the "
            "constants of Besiroglu et al. and Student-t noise of 0.4 % (10 degrees of freedom), "
            f"{REPEATS} times; models are fitted below the cut at 65 %. The cost of the default "
            f"card is the ratio of the widths of its 90 % intervals to those of `{IID}`, the model "
            "that is true here. Standard errors are over simulated tables. The priors of the "
            "default card were not learnt from such a law: its k is 1, and lower in every public "
            "sweep.",
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
        f"90 % coverage, `{IID}`": with_error(narrow),
        f"90 % coverage, `{DEFAULT}`": with_error(wide),
        f"width, `{IID}`": per_cent(narrow["width_90"]),
        "ratio of widths": f"{wide['width_90'] / narrow['width_90']:.2f}",
    }


# --- what other choices would trade -------------------------------------------------------------


def trade_off(scores: pd.DataFrame) -> str:
    lines = []
    for change, group in scores.groupby("change", sort=False):
        sources = source_means(group)
        mean = sources.mean()
        lines.append(
            {
                "choice": change,
                "90 % coverage": f"{mean['coverage_90']:.2f} ± {sources['coverage_90'].sem():.2f}",
                "lowest source": f"{sources['coverage_90'].min():.2f}",
                "RMSE": per_cent(mean["rmsle"]),
                "interval score": per_cent(mean["interval_score_90"]),
                "log score": f"{mean['log_score']:.2f}",
                "width": per_cent(mean["width_90"]),
                "fits that failed": failed(group),
            }
        )
    return "\n".join(
        [
            "## Scores of other choices",
            "",
            "The default card without one of its parts, with other medians of the scales of its "
            "discrepancy, and with the additive law as its mean, at the cut at "
            f"{100 * TRADED_SHARE:.0f} %, leave one source out, with equal weights of sources.",
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
                "90 % coverage": f"{mean['coverage_90']:.2f}",
                "width": per_cent(mean["width_90"]),
                "interval score": per_cent(mean["interval_score_90"]),
                "fits that failed": failed(group),
            }
        )
    return "\n".join(
        [
            "## A new corpus with a few small runs",
            "",
            "For each corpus of `overtraining` in turn, its smallest runs and all runs of the "
            "other two are fitted, and its runs above the median compute are predicted. Without "
            "pooling, parameters differ freely between corpora (a standard deviation of one on the "
            "log scale); with complete pooling they are equal. The card "
            f"`{POOLED}` partially pools floor, terms and exponents, for families with different "
            f"recipes; `{CORPORA}` only the floor, for corpora under one recipe, as these are. "
            "Means over the three corpora; scores in per cent of loss.",
            "",
            markdown(pd.DataFrame(lines).sort_values("runs", kind="stable")),
        ]
    )


# --- cells --------------------------------------------------------------------------------------


def of(scores: pd.DataFrame, model: str) -> pd.DataFrame:
    return scores[scores["model"] == model]


def pooled(group: pd.DataFrame) -> pd.Series:
    return pooled_scores(group).loc["all"]


def source_means(group: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over cuts, then tables, of every score, by source."""
    group = group.assign(log_score=group["elpd"] / group["n_test"])
    scores = list(group.select_dtypes(["number", "bool"]))
    by_table = group.groupby(["source", "table"], sort=False)[scores].mean()
    return by_table.groupby("source", sort=False).mean()


def with_error(found: pd.Series) -> str:
    return f"{found['coverage_90']:.3f} ± {found['coverage_90_se']:.3f}"


def per_cent(value: float) -> str:
    return f"{100 * value:.2f}"


def failed(group: pd.DataFrame) -> str:
    return f"{(~group['ok'].astype(bool)).sum()} of {len(group)}"


def full_name(source: str, table: str) -> str:
    return source if table == "all" else f"{source}, {table}"


def quoted(model: str) -> str:
    return model if " " in model else f"`{model}`"
