"""A wheel carries the workflow's own files, so that it works without a checkout; an editable install has the checkout."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What `frontalbench init` lays out; frontalbench/console/project.py has the same list, and a test compares them.
PROJECT = (
    "Snakefile",
    "adapters",
    "constraints.txt",
    "config",
    "demo",
    "docs",
    "envs",
    "profiles",
    "reports/captions",
    "reports/workflow.rst",
    "rules",
    "workflow/scripts",
)


class ProjectFiles(BuildHookInterface):  # type: ignore[misc]
    """Adds them below ``frontalbench/project``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"].update({name: f"frontalbench/project/{name}" for name in PROJECT})
