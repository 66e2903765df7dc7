"""Versions for another machine: those that are installed here, so that both measure with the same packages."""

from __future__ import annotations

import importlib.metadata
import re
import sys

FILE_NAME = "constraints.txt"
_INTERPRETERS = ("ai-edge-litert", "tflite-runtime")
"""What the figures depend on: the same version there on any Python, or an error."""


def constraints() -> str:
    """Returns a constraints file of pip: every package that is installed here, by version.

    Interpreters are pinned for every Python; the others for this Python's version alone, because not every version of
    NumPy has a wheel for every Python.

    Source: pip's user guide, "Constraints Files"; PEP 508 for the markers.

    Returns:
        Lines such as `numpy==1.25.2; python_version == '3.11'`.

    Examples:
        >>> from edge.measuring.constraints import constraints
        >>> [line for line in constraints().splitlines() if line.startswith("numpy==")]
        ["numpy==1.25.2; python_version == '3.11'"]
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    versions: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
        # A local version, such as 2.1+cpu, is on no package index; this package itself is sent as a wheel.
        if name != "fedcompress" and re.fullmatch(r"[0-9A-Za-z.!]+", distribution.version):
            versions.setdefault(name, distribution.version)
    return "".join(
        f"{name}=={version}\n" if name in _INTERPRETERS else f"{name}=={version}; python_version == '{here}'\n"
        for name, version in sorted(versions.items())
    )
