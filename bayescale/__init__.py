"""Bayesian scaling laws: from training runs to compute-optimal plans with calibrated uncertainty.

The public names are listed in `__init__.pyi` and loaded lazily, so that `import bayescale` is fast
and does not import PyMC.
"""

import lazy_loader

from bayescale._version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
