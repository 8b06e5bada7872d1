"""The model checks of a fit, which are those beyond convergence."""

from bayescale.model.checks import Check
from bayescale.model.identifiability import design_checks
from bayescale.posterior.contraction import check_learning, check_priors
from bayescale.posterior.criticism import Scores, check_evenness, check_pattern, check_tails
from bayescale.posterior.fitted import FittedModel
from bayescale.posterior.overlooked import check_columns


def checks_of(fit: FittedModel) -> tuple[Check, ...]:
    """Return the checks of a fit's design, residuals, priors and contraction."""
    scores = Scores.of(fit)
    return (
        *design_checks(fit.model, fit.runs),
        *([check_tails(fit, scores)] if "nu" in fit.model.noise.priors else []),
        check_pattern(fit, scores),
        *check_columns(fit, scores),
        check_evenness(fit, scores),
        check_priors(fit),
        check_learning(fit),
    )
