"""The larger public tables with the column names of laws, and Markdown tables for pages."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import bayescale as bs
from bayescale.errors import BayescaleWarning


class Tables:
    """The larger public tables, with the column names of laws."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, **columns: str) -> pd.DataFrame:
        table = pd.read_csv(self.folder / f"{name}.csv")
        return table.rename(columns={old: new for new, old in columns.items()})

    def gemstones(self) -> bs.Runs:
        table = self.read("gemstones", n_params="params_nonembed", n_steps="steps")
        kept = table[(table["family"] == "hot") & (table["val_data"] == "dolma")]
        return load(kept[["run", "n_params", "n_steps", "tokens", "batch_tokens", "loss"]])

    def routed(self, *routers: str, experts: int | None = None, loss: str = "loss") -> bs.Runs:
        """Return runs of dense models or of some routers, with one number of experts or any."""
        table = self._routed(routers, loss).rename(columns={"params": "n_params"})
        if experts is not None:
            table = table[table["n_experts"] == experts]
        columns = ["run", "n_params", "n_steps", "tokens", "batch_tokens", "n_experts", loss]
        return load(table[columns].rename(columns={loss: "loss"}))

    def sparse(self, *routers: str) -> bs.Runs:
        """Return the same runs by all their parameters and the ratio of active experts."""
        table = self._routed(routers, "loss").rename(
            columns={"params_total": "n_params", "params": "active", "flops": "compute"}
        )
        table["activation_ratio"] = 1.0 / table["n_experts"]
        columns = ["run", "n_params", "active", "n_steps", "tokens", "compute", "n_experts"]
        needs = ("n_params", "n_tokens", "activation_ratio")
        return load(table[[*columns, "activation_ratio", "loss"]], needs)

    def _routed(self, routers: tuple[str, ...], loss: str) -> pd.DataFrame:
        table = self.read("routed_lm_curves", n_steps="steps", n_experts="num_experts")
        kept = (table["flop_increase"].fillna(1) == 1) & (table["seed"] == 42)
        kept &= table["family"].isin(routers) & table[loss].notna()
        kept &= (table["family"] == "dense") | (
            (table["routing_frequency"] == 0.5) & (table["k"] == 1)
        )
        return table[kept].reset_index(drop=True)

    def datablations(self, condition: str) -> bs.Runs:
        table = self.read("datablations_runs", n_params="params", n_unique_tokens="unique_tokens")
        table = table[(table["family"] == "c4") & table["seed"].isna() & table["variant"].isna()]
        columns = ["run", "n_params", "tokens", "n_unique_tokens", "epochs", "loss"]
        return load(table.query(condition)[columns])

    def best_of_unique(self) -> bs.Runs:
        """Return the lowest loss over durations at each size and unique tokens, as Kaplan's law."""
        table = self.datablations("epochs > 0").table
        best = table.loc[table.groupby(["n_params", "n_unique_tokens"])["loss"].idxmin()]
        return load(
            best.assign(tokens=best["n_unique_tokens"])[["run", "n_params", "tokens", "loss"]]
        )

    def one_epoch(self) -> bs.Runs:
        return self.datablations("epochs == 1")

    def porian(self, family: str, view: str = "standard-val") -> bs.Runs:
        table = self.read("porian_isoflop", n_params="params")
        kept = (table["view"] == view) & (table["family"] == family)
        # Higher losses belong to runs that ended within their warm-up.
        kept &= table["loss"] < 5.5
        return load(table.loc[kept, ["run", "n_params", "tokens", "loss"]])

    def marin(self, family: str) -> bs.Runs:
        table = self.read("marin_isoflop", n_params="params")
        kept = (table["family"] == family) & (table["outlier"] == 0)
        return load(table.loc[kept, ["run", "n_params", "tokens", "flops", "loss"]])

    def steplaw(self, within: float = 0.01) -> bs.Runs:
        """Return dense runs whose loss is within a share of the best of their size and tokens."""
        table = self.read("steplaw", n_params="params", learning_rate="lr")
        table = table[table["family"] == "dense"]
        best = table.groupby(["n_params", "tokens"])["loss"].transform("min")
        columns = ["run", "n_params", "tokens", "learning_rate", "batch_tokens", "loss"]
        return load(table.loc[table["loss"] < (1 + within) * best, columns])

    def gemstones_by_tokens(self, family: str, val_data: str = "dolma") -> bs.Runs:
        """Return Gemstones in size and tokens: cooled down, or checkpoints at a constant rate."""
        table = self.read("gemstones", n_params="params")
        kept = (table["family"] == family) & (table["val_data"] == val_data)
        return load(table.loc[kept, ["run", "n_params", "tokens", "loss"]])

    def families(self, name: str, kept: str) -> dict[str, bs.Runs]:
        """Return the rows of a table that meet a condition, by family."""
        table = self.read(name, n_params="params").query(kept)
        columns = ["run", "n_params", "tokens", "loss"]
        return {str(family): load(part[columns]) for family, part in table.groupby("family")}

    def curves(self) -> Iterator[tuple[str, bs.Runs]]:
        table = self.read("revisiting_lang")
        for name, curve in table.groupby("run", sort=False):
            columns = curve[["examples", "loss", "train_split"]]
            yield str(name), load(columns, needs=("examples",))


def load(table: pd.DataFrame, needs: tuple[str, ...] = ("n_params", "n_tokens")) -> bs.Runs:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayescaleWarning)
        return bs.load_runs(table.reset_index(drop=True), needs=needs)


def markdown(table: pd.DataFrame) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    body = [line([str(cell) for cell in row]) for row in table.to_numpy()]
    return "\n".join([line(list(table.columns)), "|" + " --- |" * table.shape[1], *body])
