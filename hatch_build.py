"""Ship the top-level models/ and datasets/ folders inside the wheel.

An editable install reads them from the checkout, so it must not get a copy that goes stale.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogueHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            for folder in ("models", "datasets"):
                build_data["force_include"][folder] = f"bayescale/_catalogue/{folder}"
