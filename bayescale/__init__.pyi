from . import costs, laws, plots
from ._version import __version__
from .allocation.allocate import Plan, allocate
from .allocation.kaplan_frontier import frontier
from .allocation.requirements import Needed, needed
from .baselines.isoflop import Frontier, envelope, isoflop_parabolas
from .costs.limits import Limits
from .data.levels import NEW
from .data.load import load_runs
from .data.runs import Runs
from .decision.cross_regret import CrossRegret, cross_regret
from .decision.decide import decide
from .decision.result import Decision
from .errors import (
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
from .experiment_design.next_runs import next_runs, value_of_runs
from .experiment_design.result import NextRuns
from .inference.fit import fit
from .inference.load import load_fit
from .laws import Parameter, define_law, law
from .laws.published import Constants, EmpiricalFrontier, published
from .model.card import Model, load_model
from .model.discrepancy import Drift
from .model.listing import datasets, models
from .model.noise import Checkpoints, Growth, Noise
from .model.pooling import Pooling
from .model.priors import Beta, Gamma, HalfCauchy, HalfNormal, LogNormal, Normal
from .posterior.average import Mixture, average
from .posterior.diagnostics import Diagnostics
from .posterior.elasticities import elasticities
from .posterior.fit import Fit
from .posterior.predict import predict
from .reports import report
from .sensitivity.apparent_exponent import Counting, counted_exponents, recount
from .sensitivity.choices import Choice
from .sensitivity.expanding_window import RisingCuts, rising_cuts
from .sensitivity.multiverse import Multiverse, multiverse
from .sensitivity.reconcile import Explanation, explain
from .sensitivity.steps import Step
from .validation.compare import compare
from .validation.leave_scale_out import leave_scale_out, stacking_weights
from .validation.result import Comparison
from .validation.sbc import Sbc, sbc
from .validation.scales import ScalesLeftOut
from .validation.score import Score, compare_breaks, hold_out, score

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
