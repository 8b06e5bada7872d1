"""The modules of the package."""

import importlib
import pkgutil
from functools import cache

import bayescale as bs

SCRIPTS = {"bayescale.__main__", "bayescale.explore.page"}


@cache
def import_all() -> None:
    """Import every module.

    A module that is first imported while a function is replaced keeps the replacement.
    """
    for module in pkgutil.walk_packages(bs.__path__, "bayescale."):
        if module.name not in SCRIPTS:
            importlib.import_module(module.name)
