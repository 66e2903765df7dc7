"""Checks the environment: what is installed, what works, what to install. The standard library and NumPy alone."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass

from edge.running.runtime import RUNTIMES, distribution_version, find_runtime
from tfc.base.errors import EdgeError

_WORKSTATION = "pip install --no-deps -r requirements.txt, on x86-64 Linux with Python 3.11"


@dataclass(frozen=True)
class Finding:
    """Whether one purpose works in this environment.

    Attributes:
        purpose: The commands concerned.
        works: Whether they work here.
        detail: The packages that they use, or what to install.
    """

    purpose: str
    works: bool
    detail: str


def _runtime(name: str, purpose: str) -> Finding:
    try:
        found = find_runtime(name)
    except EdgeError as error:
        return Finding(purpose, False, str(error))
    return Finding(purpose, True, f"{found.package} {found.version}")


def _package(purpose: str, module: str, package: str, install: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(purpose, False, install)
    return Finding(purpose, True, f"{package} {distribution_version(package)}")


def examine() -> list[Finding]:
    """Checks this environment.

    Returns:
        One finding per purpose, in the order of a typical workflow.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    numpy = distribution_version("numpy")
    return [
        Finding("inspect, pack, unpack, patch", True, f"Python {version}, NumPy {numpy}"),
        _runtime("auto", "bench, verify"),
        *(_runtime(name, f"--runtime {name}") for name in RUNTIMES),
        _package("export", "tensorflow", "tensorflow", _WORKSTATION),
        _package(
            "export --clusters, --cqat",
            "tensorflow_model_optimization",
            "tensorflow-model-optimization",
            _WORKSTATION,
        ),
        _package("tfc run, tfc sweep", "tensorflow_federated", "tensorflow-federated", _WORKSTATION),
    ]


def format_findings(findings: list[Finding]) -> str:
    """Returns the findings as lines for a terminal.

    Args:
        findings: What `examine` returned.
    """
    width = max(len(finding.purpose) for finding in findings)
    return "\n".join(
        f"{'yes' if finding.works else 'no ':3}  {finding.purpose:{width}}  {finding.detail}" for finding in findings
    )
