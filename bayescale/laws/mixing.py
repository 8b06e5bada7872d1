"""The loss on a validation text as a function of the training mixture of domains."""

from collections.abc import Mapping, Sequence
from typing import override

import numpy as np
from numpy.typing import NDArray

from bayescale.laws.base import Law, Parameter, Value, Values

DOMAINS = (2, 3, 4, 5)
"""Numbers of domains for which there is a law."""


def shares_of(weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the share of each domain in mixtures from their weights, the domain along axis 0."""
    stacked = np.stack(weights)
    return np.asarray(stacked / stacked.sum(axis=0))


class DataMixing(Law):
    r"""L = c + k exp(sum_j t_j r_j) (Ye et al. 2024), of the shares r of two to five domains.

    Shares sum to one, so that only differences between the t_j and k have a meaning:
    b_j = k exp(t_j) is the reducible loss of training on domain j alone, and the reducible loss of
    a mixture is their geometric mean, weighted by the shares.

    The inputs are weights, which are normalised to shares: proportions, per cent, or tokens of each
    domain. Zero is read as 1e-12. The coordinates refer to equal weights for any runs: the
    loss, the share of it that is reducible, and the slopes of its logarithm as share moves from
    the first domain to another, that share times ln(b_j / b_1), which runs determine best.

    Parameters
    ----------
    domains
        Number of domains.
    """

    sources = ("Ye et al. 2024, Data Mixing Laws, arXiv:2403.16952",)
    caveat = (
        "The law is of one size and number of tokens, those of the runs; the best mixture may "
        "change with scale."
    )
    monotone = False

    def __init__(self, domains: int) -> None:
        self.domains = domains
        numbers = range(1, domains + 1)
        self.name = f"data-mixing-{domains}"  # type: ignore[misc]
        self.title = f"a floor and the exponential of the shares of {domains} domains"  # type: ignore[misc]
        self.latex = (  # type: ignore[misc]
            r"L = c + \prod_j b_j^{r_j},\; r_j = \mathrm{domain}_j / \sum_i \mathrm{domain}_i"
        )
        self.inputs = tuple(f"domain_{j}" for j in numbers)  # type: ignore[misc]
        self.fixed_reference = dict.fromkeys(self.inputs, 1.0)  # type: ignore[misc]
        self.parameters = {  # type: ignore[misc]
            "c": Parameter(meaning="loss that no mixture goes below", symbol="c", unit=_LOSS),
            **{
                f"b_{j}": Parameter(
                    meaning=f"reducible loss of training on domain {j} alone",
                    symbol=f"b_{j}",
                    unit=_LOSS,
                )
                for j in numbers
            },
        }
        self.coordinates = {  # type: ignore[misc]
            "loss_ref": Parameter(
                meaning="loss at equal shares", symbol=r"L_\mathrm{ref}", unit=_LOSS
            ),
            "reducible": Parameter(
                meaning="share of it that is reducible", symbol="s", support="unit"
            ),
            **{
                f"slope_{j}": Parameter(
                    meaning=f"slope of ln loss at equal shares, from domain 1 to domain {j}",
                    symbol=rf"s \ln(b_{j}/b_1)",
                    support="real",
                )
                for j in numbers[1:]
            },
        }

    @override
    def formula(self, log_inputs: Values, parameters: Values) -> Value:
        weights = [np.exp(log_inputs[name]) for name in self.inputs]
        logs = [np.log(parameters[f"b_{j}"]) for j in range(1, self.domains + 1)]
        weighted = sum(w * x for w, x in zip(weights, logs, strict=True))
        return parameters["c"] + np.exp(weighted / sum(weights))

    @override
    def to_reference(self, parameters: Values, reference: Values) -> dict[str, Value]:
        logs = [np.log(parameters[f"b_{j}"]) for j in range(1, self.domains + 1)]
        reducible = np.exp(sum(logs) / self.domains)
        loss_ref = parameters["c"] + reducible
        share = reducible / loss_ref
        slopes = {f"slope_{j}": share * (x - logs[0]) for j, x in enumerate(logs[1:], 2)}
        return {"loss_ref": loss_ref, "reducible": share, **slopes}

    @override
    def from_reference(self, coordinates: Values, reference: Values) -> dict[str, Value]:
        c = coordinates
        contrasts = [c[f"slope_{j}"] / c["reducible"] for j in range(2, self.domains + 1)]
        reducible = c["loss_ref"] * c["reducible"]
        first = np.log(reducible) - sum(contrasts) / self.domains
        return {
            "c": c["loss_ref"] - reducible,
            "b_1": np.exp(first),
            **{f"b_{j}": np.exp(first + x) for j, x in enumerate(contrasts, 2)},
        }

    @override
    def comparable(
        self, amounts: Mapping[str, NDArray[np.float64]]
    ) -> Mapping[str, NDArray[np.float64]]:
        """Return shares, those below one per cent as one per cent."""
        if set(amounts) != set(self.inputs):
            return amounts
        shares = np.maximum(shares_of(list(amounts.values())), _SMALLEST_SHARE)
        return dict(zip(amounts, shares, strict=True))


_SMALLEST_SHARE = 0.01
"""Lower bound of compared shares: the law is smooth near zero, logarithms of shares are not."""

_LOSS = "nats/token"
