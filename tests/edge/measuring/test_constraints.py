"""What another machine installs has the versions that are installed here."""

import importlib.metadata
import sys

from edge.measuring.constraints import constraints


def test_every_package_is_pinned_and_interpreters_for_every_python():
    lines = constraints().splitlines()
    here = f"python_version == '{sys.version_info.major}.{sys.version_info.minor}'"
    assert f"numpy=={importlib.metadata.version('numpy')}; {here}" in lines
    assert f"ai-edge-litert=={importlib.metadata.version('ai-edge-litert')}" in lines
    assert not [line for line in lines if line.startswith("fedcompress") or "+" in line]
    assert len({line.partition("==")[0] for line in lines}) == len(lines)
