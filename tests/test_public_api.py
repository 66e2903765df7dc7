"""The public API: its names, their signatures, their documentation.

A change here is a change for everybody who uses the package: it belongs in CHANGELOG.md.
"""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edge
import tfc

ROOT = Path(__file__).parent.parent
SIGNATURES = {
    "tfc.METHODS": "dict: eden, fedavg, fedcompress, fedzip, stc, tff8bit",
    "tfc.build_aggregated": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', factory: 'Factory', *, client_bytes: 'int | None' = None) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.build_fedavg": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', ood_fn: 'OodFn | None' = None, *, record_payloads: 'bool' = False) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.build_fedcompress": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', ood_fn: 'OodFn | None' = None, *, record_payloads: 'bool' = False) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.client_data": "(examples: 'ClientExamples', client: 'int', round_number: 'int', flags: 'ClientFlags' = <ClientFlags.NONE: 0>, *, scale: 'float' = 1.0, most_bytes: 'int' = 2147483647) -> 'collections.OrderedDict[str, list[Any]]'",  # noqa: E501
    "tfc.client_data_type": "(input_shape: 'tuple[int, ...]', input_dtype: 'Any') -> 'tff.Type'",
    "tfc.ClientExamples": "(x_train: 'np.ndarray', y_train: 'np.ndarray', x_validation: 'np.ndarray', y_validation: 'np.ndarray') -> None",  # noqa: E501
    "tfc.local_worker": "(*, max_concurrent_clients: 'int' = 20, log: 'Path | None' = None) -> 'Iterator[WorkerProcess]'",  # noqa: E501
    "tfc.load": "(source: 'str', overrides: 'typing.Sequence[str]' = ()) -> 'ExperimentConfig'",
    "tfc.as_dataset": "(data: 'Any', *, name: 'str' = 'data', class_names: 'Sequence[str]' = (), owners: 'Any' = None, clients: 'Sequence[Any] | None' = None, config: 'DataConfig | None' = None) -> 'Dataset'",  # noqa: E501
    "tfc.load_dataset": "(config: 'ExperimentConfig', data: 'Any' = None) -> 'Dataset'",
    "tfc.procedural_images": "(num_examples: 'int', batch_size: 'int', input_shape: 'tuple[int, ...]', seed: 'int') -> 'OodFn'",  # noqa: E501
    "tfc.run": "(config: 'ExperimentConfig', out: 'Path', *, force: 'bool' = False, progress: 'bool' = True, record_payloads: 'bool' = False, workers: 'Sequence[str]' = ()) -> 'FinishedRun'",  # noqa: E501
    "tfc.read_run": "(path: 'Path') -> 'FinishedRun'",
    "tfc.accuracy_per_megabyte": "(runs: 'Sequence[FinishedRun]') -> 'Figure'",
    "tfc.clusters_and_quality": "(runs: 'Sequence[FinishedRun]') -> 'Figure'",
    "tfc.encode": "(message: 'Message', spec: 'MessageSpec', held: 'ReferenceModel | None' = None, *, update: 'bool' = False) -> 'bytes'",  # noqa: E501
    "tfc.decode": "(payload: 'bytes', spec: 'MessageSpec', held: 'ReferenceModel | None' = None) -> 'Decoded'",
    "tfc.Message": "(num_clusters: ForwardRef('Any'), palettes: ForwardRef('tuple[Palette, ...]'), others: ForwardRef('tuple[Any, ...]'), scalars: ForwardRef('Any'))",  # noqa: E501
    "tfc.MessageSpec": "(kernel_shapes: 'tuple[tuple[int, ...], ...]', other_shapes: 'tuple[tuple[int, ...], ...]', max_clusters: 'int', num_scalars: 'int' = 0, kinds: 'tuple[Kind, ...]' = (<Kind.KEY_FRAME: 0>, <Kind.DELTA: 1>), reference_clusters: 'int' = 0, initial_kernels: 'tuple[InitialValue, ...]' = (), initial_others: 'tuple[InitialValue, ...]' = (), relative_others: 'tuple[bool, ...]' = (), other_bits: 'int' = 4, remembers_moves: 'bool' = True) -> None",  # noqa: E501
    "tfc.ReferenceModel": "(num_clusters: ForwardRef('Any'), palettes: ForwardRef('tuple[Palette, ...]'), moves: ForwardRef('tuple[Any, ...]'), others: ForwardRef('tuple[Any, ...]'))",  # noqa: E501
    "tfc.Palette": "(codebook: ForwardRef('Any'), indices: ForwardRef('Any'))",
    "tfc.CodecError": "error: ValueError",
    "tfc.TfcError": "error: Exception",
    "edge.export": "(source: 'Path', out: 'Path', variants: 'tuple[str, ...]' = ('f32',), calibration: 'Path | None' = None, name: 'str | None' = None, prepare: 'Callable[[tf.keras.Model], tf.keras.Model]' = <lambda>) -> 'Exported'",  # noqa: E501
    "edge.prepare": "(model: 'tf.keras.Model', settings: 'ClusterSettings', data: 'tuple[np.ndarray, np.ndarray] | None' = None, seed: 'int' = 0, *, progress: 'bool' = False) -> 'tf.keras.Model'",  # noqa: E501
    "edge.ClusterSettings": "(clusters: 'int' = 0, cqat: 'bool' = False, epochs: 'int' = 1, learning_rate: 'float' = 0.0001, batch_size: 'int' = 64) -> None",  # noqa: E501
    "edge.inspect": "(path: 'Path') -> 'dict[str, Any]'",
    "edge.format_inspection": "(found: 'dict[str, Any]') -> 'str'",
    "edge.TfliteView": "(content: 'bytes') -> 'None'",
    "edge.verify": "(reference: 'Path', candidate: 'Path', data: 'Path | None' = None, settings: 'VerifySettings | None' = None) -> 'dict[str, Any]'",  # noqa: E501
    "edge.format_verification": "(found: 'dict[str, Any]') -> 'str'",
    "edge.VerifySettings": "(runtime: 'str' = 'auto', exact: 'bool | None' = None, min_agreement: 'float' = 0.9, random_inputs: 'int' = 100, seed: 'int' = 0, kernels: 'str' = 'xnnpack') -> None",  # noqa: E501
    "edge.bench_files": "(files: 'Sequence[Path]', *, baseline: 'Path | None' = None, data: 'Path | None' = None, runtime: 'str' = 'auto', settings: 'BenchSettings | None' = None, progress: 'Progress' = <lambda>) -> 'dict[str, Any]'",  # noqa: E501
    "edge.BenchSettings": "(threads: 'int' = 1, kernels: 'str' = 'xnnpack', batch: 'int' = 1, warm_up_runs: 'int' = 10, min_runs: 'int' = 100, min_seconds: 'float' = 1.0, slices: 'int' = 20) -> None",  # noqa: E501
    "edge.read_bench": "(path: 'Path') -> 'dict[str, Any]'",
    "edge.format_bench": "(result: 'dict[str, Any]') -> 'str'",
    "edge.format_comparison": "(results: 'Sequence[dict[str, Any]]') -> 'str'",
    "edge.pack": "(content: 'bytes') -> 'bytes'",
    "edge.unpack": "(packed: 'bytes') -> 'bytes'",
    "edge.make_patch": "(old: 'bytes', new: 'bytes') -> 'bytes'",
    "edge.apply_patch": "(old: 'bytes', patch: 'bytes') -> 'bytes'",
    "edge.TfliteModel": "(path: 'Path', runtime: 'Runtime', options: 'InterpreterOptions | None' = None) -> 'None'",
    "edge.find_runtime": "(name: 'str' = 'auto') -> 'Runtime'",
    "edge.EdgeError": "error: Exception",
}


def described(value):
    """A function's or class' signature, an error's base, a registry's keys: as text."""
    if isinstance(value, type) and issubclass(value, Exception):
        return f"error: {value.__base__.__name__}"
    if callable(value):
        return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", str(inspect.signature(value)))
    return f"{type(value).__name__}: {', '.join(sorted(value))}"


def public_names(package):
    return {f"{package.__name__}.{name}" for name in package.__all__ if name != "__version__"}


def test_the_names_are_these():
    assert public_names(tfc) | public_names(edge) == set(SIGNATURES)
    for package in (tfc, edge):
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
            _ = package.nothing


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_and_docstring(name):
    package, _, attribute = name.partition(".")
    value = getattr({"tfc": tfc, "edge": edge}[package], attribute)
    assert described(value) == SIGNATURES[name]
    if callable(value):
        assert value.__doc__ and not value.__doc__.startswith(f"{value.__name__}("), "a docstring of its own"


def test_every_name_is_in_the_reference_and_nothing_else():
    documented = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    assert sorted(documented) == sorted(SIGNATURES)


@pytest.mark.parametrize("package", [tfc, edge], ids=lambda package: package.__name__)
def test_a_type_checker_sees_the_same_names_as_python(package):
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: (node.module, alias.name)
        for node in block.body
        for alias in node.names
        if alias.asname is not None  # `import x as x`: what strict type checkers take for public
    }
    assert set(seen) == set(package.__all__) - {"__version__"}
    for name, (module, own_name) in seen.items():
        assert (name, package._PUBLIC[name]) == (own_name, module)


@pytest.mark.parametrize("package", ["tfc", "edge"])
def test_importing_a_package_imports_nothing_else(package):
    code = f"import sys; before = set(sys.modules); import {package}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    ours = {name for name in done.stdout.split() if name.partition(".")[0] in ("tfc", "edge")}
    assert ours == {package, "tfc", "tfc.base.lazy_exports"}
    assert not {"numpy", "tensorflow", "dataclasses"} & set(done.stdout.split())


def texts():
    for pattern in ("README.md", "docs/**/*.md", "notebooks/*.ipynb"):
        for path in sorted(ROOT.glob(pattern)):
            yield path, path.read_text()


def test_texts_and_notebooks_use_public_names_only():
    for path, text in texts():
        inner = re.findall(r"^[\s\"]*(?:from (?:tfc|edge)[\w.]* import .*|import (?:tfc|edge)\.\S+)", text, re.M)
        assert not inner, f"{path.name}: {inner}"
        for name in re.findall(r"(?<![\w./\"`-])((?:tfc|edge)\.[A-Za-z_]+)\(", text):
            assert name in SIGNATURES, f"{path.name}: {name}"
