from . import costs, laws, plots
from ._version import __version__
from .allocation.allocate import allocate
from .allocation.data_mixture import DataMixture, data_mixture
from .allocation.hyperparameters import hyperparameters, loss_lost
from .allocation.kaplan_frontier import frontier
from .allocation.required_input import RequiredInput
from .allocation.requirements import Requirements, requirements
from .allocation.result import Allocation
from .allocation.speedup import speedup
from .allocation.speedup_result import Speedup
from .allocation.token_quality import TokenQuality, token_quality
from .baselines.envelope import envelope
from .baselines.frontier import Frontier
from .baselines.isoflop import isoflop_parabolas
from .costs.counting import Counting
from .costs.limits import Limits
from .data.levels import NEW
from .data.load import load_runs
from .data.logs.read import read_logs
from .data.logs.run_log import RunLogs
from .data.recount import recount
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
    ForecastFileError,
    MissingExtraError,
    NoMinimumError,
    RunsError,
    SamplingError,
    UnknownNameError,
    UnsuitableLawError,
)
from .experiment_design.comparison_runs import ComparisonRuns, comparison_runs
from .experiment_design.first_sweep import first_sweep
from .experiment_design.next_runs import next_runs, value_of_runs
from .experiment_design.result import NextRuns
from .experiment_design.sweep_result import FirstSweep
from .forecasting.beyond import Beyond
from .forecasting.forecast import forecast
from .forecasting.result import Forecast
from .forecasting.two_step import TwoStep, two_step
from .inference.fit import fit
from .inference.learn_prior import learn_prior
from .inference.load import load_fit
from .inference.refits import RefitOptions
from .laws import Parameter, define_law, law, list_laws
from .laws.constants import Constants, EmpiricalFrontier
from .laws.published import list_published, published
from .model.card import Model, load_model
from .model.discrepancy import Discrepancy
from .model.listing import list_datasets, list_models
from .model.noise import CheckpointCorrelation, Heteroscedasticity, Noise
from .model.pooling import Pooling
from .model.priors import Beta, Gamma, HalfCauchy, HalfNormal, LogNormal, Normal
from .posterior.average import ModelAverage, model_average
from .posterior.diagnostics import Diagnostics
from .posterior.elasticities import elasticities
from .posterior.fit import Fit
from .posterior.predict import predict
from .posterior.shape import shape_weights
from .records.history import ForecastScores
from .records.preregister import preregister
from .records.preregistration import Preregistration, load_preregistration
from .records.score import score_forecasts
from .reports.report import report
from .schedules.forecast import forecast_run
from .schedules.result import RunForecast
from .schedules.schedule import Schedule
from .sensitivity.apparent_exponent import apparent_exponents
from .sensitivity.choices import Choice
from .sensitivity.expanding_window import ExpandingWindow, expanding_window
from .sensitivity.floors import ForecastByFloor, forecast_by_floor
from .sensitivity.multiverse import Multiverse, multiverse
from .sensitivity.reconcile import ExponentReconciliation, reconcile_exponents
from .sensitivity.steps import Step
from .validation.backtest import Backtest, backtest
from .validation.compare import compare
from .validation.leave_scale_out import leave_scale_out
from .validation.result import Comparison
from .validation.sbc import Sbc, sbc
from .validation.scales import ScalesLeftOut
from .validation.score import compare_breaks, hold_out, score
from .validation.scored import Score
from .validation.stacking import stacking_weights

__all__ = [
    "NEW",
    "Allocation",
    "AmountError",
    "Backtest",
    "BayescaleError",
    "BayescaleWarning",
    "Beta",
    "Beyond",
    "CardError",
    "CheckpointCorrelation",
    "Choice",
    "Comparison",
    "ComparisonRuns",
    "Constants",
    "Counting",
    "CrossRegret",
    "DataMixture",
    "Decision",
    "Diagnostics",
    "Discrepancy",
    "EmpiricalFrontier",
    "ExpandingWindow",
    "ExponentReconciliation",
    "FirstSweep",
    "Fit",
    "FitFileError",
    "Forecast",
    "ForecastByFloor",
    "ForecastFileError",
    "ForecastScores",
    "Frontier",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "Heteroscedasticity",
    "Limits",
    "LogNormal",
    "MissingExtraError",
    "Model",
    "ModelAverage",
    "Multiverse",
    "NextRuns",
    "NoMinimumError",
    "Noise",
    "Normal",
    "Parameter",
    "Pooling",
    "Preregistration",
    "RefitOptions",
    "RequiredInput",
    "Requirements",
    "RunForecast",
    "RunLogs",
    "Runs",
    "RunsError",
    "SamplingError",
    "Sbc",
    "ScalesLeftOut",
    "Schedule",
    "Score",
    "Speedup",
    "Step",
    "TokenQuality",
    "TwoStep",
    "UnknownNameError",
    "UnsuitableLawError",
    "__version__",
    "allocate",
    "apparent_exponents",
    "backtest",
    "compare",
    "compare_breaks",
    "comparison_runs",
    "costs",
    "cross_regret",
    "data_mixture",
    "decide",
    "define_law",
    "elasticities",
    "envelope",
    "expanding_window",
    "first_sweep",
    "fit",
    "forecast",
    "forecast_by_floor",
    "forecast_run",
    "frontier",
    "hold_out",
    "hyperparameters",
    "isoflop_parabolas",
    "law",
    "laws",
    "learn_prior",
    "leave_scale_out",
    "list_datasets",
    "list_laws",
    "list_models",
    "list_published",
    "load_fit",
    "load_model",
    "load_preregistration",
    "load_runs",
    "loss_lost",
    "model_average",
    "multiverse",
    "next_runs",
    "plots",
    "predict",
    "preregister",
    "published",
    "read_logs",
    "reconcile_exponents",
    "recount",
    "report",
    "requirements",
    "sbc",
    "score",
    "score_forecasts",
    "shape_weights",
    "speedup",
    "stacking_weights",
    "token_quality",
    "two_step",
    "value_of_runs",
]
