"""What a training run costs in compute."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ProductCost:
    """Compute proportional to size times tokens: C = k N D.

    Attributes
    ----------
    flop_per_param_token
        k: floating-point operations for each parameter and token.
    name
        How tables and reports call it.
    """

    flop_per_param_token: float
    name: str

    def __call__(self, n_params: Any, n_tokens: Any) -> Any:
        """Return the compute in FLOP of training `n_params` on `n_tokens`."""
        return self.flop_per_param_token * n_params * n_tokens


six_nd = ProductCost(6.0, "6ND")
"""Two operations per parameter and token forward, four backward (Kaplan et al. 2020, section 2.1);
attention and embeddings are neglected."""
