"""What a wheel brings along beside the package, for the command where there is no checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Brought(BuildHookInterface):
    """Studies, miniatures and the footprint's tables; an editable install reads those of its checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            for place in ("studies", "models/mini", "results/footprint"):
                build_data["force_include"][place] = f"helpers/_shipped/{place}"
