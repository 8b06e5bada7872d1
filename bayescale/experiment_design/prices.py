"""The cost of runs on a cluster, in days and money."""

import pandas as pd

from bayescale.costs import Cluster
from bayescale.units import format_days, format_money


def price_of(flop: float, cluster: Cluster | None) -> str:
    """Return the days, and the money if the price is known; empty without a cluster."""
    if cluster is None:
        return ""
    parts = [f"{format_days(float(cluster.days(flop)))} on {cluster}"]
    if cluster.price is not None:
        parts.append(format_money(cluster.money(flop), cluster.currency))
    return ", ".join(parts)


def with_prices(runs: pd.DataFrame, cluster: Cluster | None) -> pd.DataFrame:
    """Return a table of runs with their days and, if the price is known, money."""
    table = runs.copy()
    if cluster is not None:
        table["days"] = cluster.days(table["compute"])
        if cluster.price is not None:
            table["money"] = cluster.money(table["compute"])
    return table
