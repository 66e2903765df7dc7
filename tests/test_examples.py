"""The examples in the docstrings of the public names: each name has one, and each is typed here as it stands.

All are typed in one folder, which those in `FIRST` fill: a tiny run, its export, a measurement of that.
"""

import ast
import doctest
import io

import pytest
from public_definitions import definitions

PUBLIC = {
    name: definition
    for name, definition in definitions().items()
    if isinstance(definition.node, (ast.FunctionDef, ast.ClassDef)) or isinstance(definition.node.value, ast.Call)
}
"""All but aliases of types, which are seen in the signatures of those that use them."""

FIRST = ("tfc.run", "edge.export", "edge.bench_files")


def has_example(definition):
    return "\nExamples:\n" in definition.docstring and ">>> " in definition.docstring


def type_example(name):
    """Runs the example of a public name in the working directory; fails with what doctest says."""
    test = doctest.DocTestParser().get_doctest(PUBLIC[name].docstring, {}, name, PUBLIC[name].module, 0)
    report = io.StringIO()
    result = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=report.write)
    assert result.attempted > 0
    assert result.failed == 0, report.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the examples of `FIRST` were typed, with two exports of a model that differ."""
    import edge

    path = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        for name in FIRST:
            type_example(name)
    content = bytearray((path / "out" / "tiny-int8.tflite").read_bytes())
    (path / "new-int8.tflite").write_bytes(content)
    view = edge.TfliteView(bytes(content))
    content[view.tensors[view.kernels[0].tensor].start] ^= 1
    (path / "old-int8.tflite").write_bytes(content)
    return path


def test_every_public_name_has_an_example():
    assert [name for name, definition in PUBLIC.items() if not has_example(definition)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_works(name, folder, monkeypatch):
    monkeypatch.chdir(folder)
    if name not in FIRST:  # the folder's own, which have been typed
        type_example(name)
