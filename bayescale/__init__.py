"""Bayesian scaling laws: from training runs to compute-optimal plans with honest uncertainty.

The public surface is loaded on first use, so that `import bayescale` is quick and does not
import PyMC.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bayescale._version import __version__

if TYPE_CHECKING:
    from bayescale import costs, laws, plots
    from bayescale.advice import next_runs, value_of_runs
    from bayescale.allocation import Plan, allocate
    from bayescale.approaches import Frontier, envelope, isoflop_parabolas
    from bayescale.calibration import leave_scale_out, stacking_weights
    from bayescale.choices import Choice
    from bayescale.comparing import compare
    from bayescale.comparison import Comparison
    from bayescale.constants import Constants, EmpiricalFrontier, published
    from bayescale.counting import Counting, counted_exponents, recount
    from bayescale.crossing import CrossRegret, cross_regret
    from bayescale.deciding import decide
    from bayescale.decision import Decision
    from bayescale.diagnostics import Diagnostics
    from bayescale.discrepancy import Drift
    from bayescale.errors import (
        AmountError,
        BayescaleError,
        BayescaleWarning,
        CardError,
        FitFileError,
        MissingExtraError,
        NoMinimumError,
        RunsError,
        SamplingError,
        UnknownNameError,
        UnsuitableLawError,
    )
    from bayescale.explanation import Explanation, explain
    from bayescale.fitting import fit
    from bayescale.frontiers import frontier
    from bayescale.groups import NEW
    from bayescale.laws import Parameter, define_law, law
    from bayescale.limits import Limits
    from bayescale.listing import datasets, models
    from bayescale.mixture import Mixture, average
    from bayescale.model import Model, load_model
    from bayescale.needs import Needed, needed
    from bayescale.noise import Checkpoints, Growth, Noise
    from bayescale.pooling import Pooling
    from bayescale.posterior import Fit
    from bayescale.prediction import predict
    from bayescale.priors import Beta, Gamma, HalfCauchy, HalfNormal, LogNormal, Normal
    from bayescale.promise import NextRuns
    from bayescale.ranks import Sbc, sbc
    from bayescale.reading import load_runs
    from bayescale.reports import report
    from bayescale.runs import Runs
    from bayescale.scales import ScalesLeftOut
    from bayescale.scoring import Score, compare_breaks, hold_out, score
    from bayescale.slopes import elasticities
    from bayescale.steps import Step
    from bayescale.unfinished import load_fit
    from bayescale.universes import Multiverse, multiverse
    from bayescale.windows import RisingCuts, rising_cuts

_HOME = {
    "advice": ("next_runs", "value_of_runs"),
    "allocation": ("Plan", "allocate"),
    "approaches": ("Frontier", "envelope", "isoflop_parabolas"),
    "calibration": ("leave_scale_out", "stacking_weights"),
    "choices": ("Choice",),
    "comparing": ("compare",),
    "comparison": ("Comparison",),
    "constants": ("Constants", "EmpiricalFrontier", "published"),
    "counting": ("Counting", "counted_exponents", "recount"),
    "crossing": ("CrossRegret", "cross_regret"),
    "deciding": ("decide",),
    "decision": ("Decision",),
    "diagnostics": ("Diagnostics",),
    "discrepancy": ("Drift",),
    "errors": (
        "AmountError",
        "BayescaleError",
        "BayescaleWarning",
        "CardError",
        "FitFileError",
        "MissingExtraError",
        "NoMinimumError",
        "RunsError",
        "SamplingError",
        "UnknownNameError",
        "UnsuitableLawError",
    ),
    "explanation": ("Explanation", "explain"),
    "fitting": ("fit",),
    "frontiers": ("frontier",),
    "groups": ("NEW",),
    "laws": ("Parameter", "define_law", "law"),
    "limits": ("Limits",),
    "listing": ("datasets", "models"),
    "mixture": ("Mixture", "average"),
    "model": ("Model", "load_model"),
    "needs": ("Needed", "needed"),
    "noise": ("Checkpoints", "Growth", "Noise"),
    "pooling": ("Pooling",),
    "posterior": ("Fit",),
    "unfinished": ("load_fit",),
    "prediction": ("predict",),
    "priors": ("Beta", "Gamma", "HalfCauchy", "HalfNormal", "LogNormal", "Normal"),
    "promise": ("NextRuns",),
    "ranks": ("Sbc", "sbc"),
    "reading": ("load_runs",),
    "reports": ("report",),
    "runs": ("Runs",),
    "scales": ("ScalesLeftOut",),
    "scoring": ("Score", "compare_breaks", "hold_out", "score"),
    "slopes": ("elasticities",),
    "steps": ("Step",),
    "universes": ("Multiverse", "multiverse"),
    "windows": ("RisingCuts", "rising_cuts"),
}
# Modules have names of their own, never that of a public function: importing a submodule binds
# it on the package and would hide the function.
_SUBMODULES = ("costs", "laws", "plots")
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "NEW",
    "AmountError",
    "BayescaleError",
    "BayescaleWarning",
    "Beta",
    "CardError",
    "Checkpoints",
    "Choice",
    "Comparison",
    "Constants",
    "Counting",
    "CrossRegret",
    "Decision",
    "Diagnostics",
    "Drift",
    "EmpiricalFrontier",
    "Explanation",
    "Fit",
    "FitFileError",
    "Frontier",
    "Gamma",
    "Growth",
    "HalfCauchy",
    "HalfNormal",
    "Limits",
    "LogNormal",
    "MissingExtraError",
    "Mixture",
    "Model",
    "Multiverse",
    "Needed",
    "NextRuns",
    "NoMinimumError",
    "Noise",
    "Normal",
    "Parameter",
    "Plan",
    "Pooling",
    "RisingCuts",
    "Runs",
    "RunsError",
    "SamplingError",
    "Sbc",
    "ScalesLeftOut",
    "Score",
    "Step",
    "UnknownNameError",
    "UnsuitableLawError",
    "__version__",
    "allocate",
    "average",
    "compare",
    "compare_breaks",
    "costs",
    "counted_exponents",
    "cross_regret",
    "datasets",
    "decide",
    "define_law",
    "elasticities",
    "envelope",
    "explain",
    "fit",
    "frontier",
    "hold_out",
    "isoflop_parabolas",
    "law",
    "laws",
    "leave_scale_out",
    "load_fit",
    "load_model",
    "load_runs",
    "models",
    "multiverse",
    "needed",
    "next_runs",
    "plots",
    "predict",
    "published",
    "recount",
    "report",
    "rising_cuts",
    "sbc",
    "score",
    "stacking_weights",
    "value_of_runs",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"bayescale.{name}")
    if name in _MODULE_OF:
        value = getattr(import_module(f"bayescale.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'bayescale' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
