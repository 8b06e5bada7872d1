"""Costs of training and serving, in FLOP, GPU-hours, days and money."""

from bayescale.costs.base import Cost, FunctionCost, ProductCost, RecountedCost, as_cost, six_nd
from bayescale.costs.experts import ExpertFamily, ExpertShape
from bayescale.costs.hardware import PEAKS, Cluster
from bayescale.costs.lifetime import Lifetime, Money, Serving, TokenPrice, two_nd
from bayescale.costs.recorded import CostLaw, fit_cost_law
from bayescale.costs.shapes import Embeddings, Shape, ShapedCost, ShapeFamily, pearce2024
from bayescale.costs.throughput import MeasuredThroughput

__all__ = [
    "PEAKS",
    "Cluster",
    "Cost",
    "CostLaw",
    "Embeddings",
    "ExpertFamily",
    "ExpertShape",
    "FunctionCost",
    "Lifetime",
    "MeasuredThroughput",
    "Money",
    "ProductCost",
    "RecountedCost",
    "Serving",
    "Shape",
    "ShapeFamily",
    "ShapedCost",
    "TokenPrice",
    "as_cost",
    "fit_cost_law",
    "pearce2024",
    "six_nd",
    "two_nd",
]
