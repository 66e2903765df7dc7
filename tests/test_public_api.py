"""The public API: its names, their signatures, their documentation.

A change here is a change for everybody who uses the package: it belongs in CHANGELOG.md.
"""

import ast
import enum
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import types
import typing
from pathlib import Path

import pytest
from public_definitions import definitions, not_public

import edge
import tfc

ROOT = Path(__file__).parent.parent
SIGNATURES = {
    "tfc.METHODS": "LazyRegistry: eden, fedavg, fedcompress, fedzip, stc, tff8bit",
    "tfc.build_aggregated": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', factory: 'AggregationFactory', *, client_bytes: 'int | None' = None) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.build_fedavg": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', ood_fn: 'OodFn | None' = None, *, record_payloads: 'bool' = False) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.build_fedcompress": "(model_fn: 'ModelFn', data_type: 'tff.Type', config: 'ExperimentConfig', ood_fn: 'OodFn | None' = None, *, record_payloads: 'bool' = False) -> 'tff.learning.templates.LearningProcess'",  # noqa: E501
    "tfc.AggregationFactory": "type: typing.Any",
    "tfc.ModelFn": "type: collections.abc.Callable[[], keras.src.engine.training.Model]",
    "tfc.register_method": "(name: 'str', *, uplink_form: 'str' = '', counts_by_formula: 'bool' = False) -> 'Callable[[Builder], Builder]'",  # noqa: E501
    "tfc.BroadcastTracker": "(payload_bytes: 'list[int]' = <factory>, last_held: 'dict[int, int]' = <factory>, start_bytes: 'int' = 0) -> None",  # noqa: E501
    "tfc.Shipment": "(client: 'int', rounds: 'tuple[int, ...]', length: 'int', since: 'int' = 0) -> None",
    "tfc.Builder": "type: collections.abc.Callable[..., tensorflow_federated.python.learning.templates.learning_process.LearningProcess]",  # noqa: E501
    "tfc.client_data": "(examples: 'ClientExamples', client: 'int', round_number: 'int', flags: 'ClientFlags' = <ClientFlags.NONE: 0>, *, scale: 'float' = 1.0, most_bytes: 'int' = 2147483647) -> 'collections.OrderedDict[str, list[Any]]'",  # noqa: E501
    "tfc.client_data_type": "(input_shape: 'tuple[int, ...]', input_dtype: 'Any') -> 'tff.Type'",
    "tfc.ClientFlags": "IntFlag: NONE, DROPOUT, CORRUPT",
    "tfc.as_dataset": "(data: 'Any', *, name: 'str' = 'data', class_names: 'Sequence[str]' = (), owners: 'Any' = None, clients: 'Sequence[Any] | None' = None, config: 'DataConfig | None' = None) -> 'Dataset'",  # noqa: E501
    "tfc.ClientExamples": "(x_train: 'np.ndarray', y_train: 'np.ndarray', x_validation: 'np.ndarray', y_validation: 'np.ndarray') -> None",  # noqa: E501
    "tfc.procedural_images": "(num_examples: 'int', batch_size: 'int', input_shape: 'tuple[int, ...]', seed: 'int') -> 'OodFn'",  # noqa: E501
    "tfc.OodFn": "type: collections.abc.Callable[[], tensorflow.python.data.ops.dataset_ops.DatasetV2]",
    "tfc.local_worker": "(*, max_concurrent_clients: 'int' = 20, log: 'str | Path | None' = None, insecure: 'bool' = False) -> 'Iterator[WorkerProcess]'",  # noqa: E501
    "tfc.WorkerProcess": "(*, log: 'str | Path | None' = None, listen: 'str' = '', private: 'bool' = True, insecure: 'bool' = False) -> 'None'",  # noqa: E501
    "tfc.WorkerReport": "(pid: 'int' = 0, address: 'str' = '', private: 'bool' = False, why_not: 'str' = '', error: 'str' = '') -> None",  # noqa: E501
    "tfc.load": "(source: 'str | Path', overrides: 'Sequence[str] | Mapping[str, Any]' = ()) -> 'ExperimentConfig'",
    "tfc.ExperimentConfig": "(method: 'str' = 'fedcompress', rounds: 'int' = 12, aggregation: 'str' = 'mean', clients_per_round: 'int' = 0, seed: 'int' = 0, max_concurrent_clients: 'int' = 20, insecure_worker: 'bool' = False, data: 'DataConfig' = <factory>, model: 'ModelConfig' = <factory>, training: 'TrainingConfig' = <factory>, clustering: 'ClusteringConfig' = <factory>, communication: 'CommunicationConfig' = <factory>, server: 'ServerConfig' = <factory>, server_optimizer: 'ServerOptimizerConfig' = <factory>, network: 'NetworkConfig' = <factory>, faults: 'FaultsConfig' = <factory>) -> None",  # noqa: E501
    "tfc.DataConfig": "(dataset: 'str' = 'mnist5k', data_dir: 'str' = '', kind: 'str' = 'auto', npz_keys: 'str' = '', test_fraction: 'float' = 0.0, clip_seconds: 'float' = 0.0, words: 'str' = 'twelve', fold: 'int' = -1, clips_per_class: 'int' = 0, image_size: 'int' = 0, channels: 'int' = 0, partition: 'str' = 'iid', alpha: 'float' = 0.5, quantity_sigma: 'float' = 1.0, growth_start: 'float' = 1.0, growth_rounds: 'int' = 0, min_examples: 'int' = 10, num_clients: 'int' = 10, examples_per_client: 'int' = 0, validation_fraction: 'float' = 0.1) -> None",  # noqa: E501
    "tfc.ModelConfig": "(name: 'str' = 'resnet8', initial: 'str' = 'seed', embedding: 'str' = '', batchnorm_momentum: 'float' = 0.9) -> None",  # noqa: E501
    "tfc.TrainingConfig": "(batch_size: 'int' = 64, plain_epochs: 'int' = 2, clustered_epochs: 'int' = 0, learning_rate: 'float' = 0.001, clustered_learning_rate: 'float' = 0.0005, final_learning_rate_share: 'float' = 1.0, final_rounds: 'int' = 5, augmentation: 'str' = 'none') -> None",  # noqa: E501
    "tfc.ClusteringConfig": "(layers: 'str' = 'all', start: 'str' = 'broadcast', min_clusters: 'int' = 16, max_clusters: 'int' = 32, step: 'int' = 4, patience: 'int' = 2, window: 'int' = 2, init_rounds: 'int' = 3, limit: 'float' = 0.01) -> None",  # noqa: E501
    "tfc.CommunicationConfig": "(uplink: 'str' = 'update', levels: 'int' = 9, rate_weight: 'float' = 0.8, final_rate_weight: 'float' = 0.0, final_rounds: 'int' = 5, target_ratio: 'float' = 0.0, sparsity: 'float' = 0.0, uplink_bits: 'int' = 1, downlink_bits: 'int' = 3, small_values: 'str' = 'int8') -> None",  # noqa: E501
    "tfc.ServerOptimizerConfig": "(name: 'str' = 'average', learning_rate: 'float' = 0.0, momentum: 'float' = 0.5, fade_rounds: 'int' = 5, second_momentum: 'float' = 0.99, epsilon: 'float' = 0.001) -> None",  # noqa: E501
    "tfc.ServerConfig": "(compression: 'bool' = True, master: 'bool' = True, rate_weight: 'float' = 0.0, kept_broadcasts: 'int' = 32, epochs: 'int' = 2, batch_size: 'int' = 64, learning_rate: 'float' = 0.0001, temperature: 'float' = 2.0, ood_examples: 'int' = 2000, ood: 'str' = 'auto', update_norm_bound: 'float' = 0.0, noise_multiplier: 'float' = 0.3, ood_dir: 'str' = '') -> None",  # noqa: E501
    "tfc.NetworkConfig": "(uplink_mbps: 'float' = 5.0, downlink_mbps: 'float' = 20.0, examples_per_second: 'float' = 200.0, speed_spread: 'float' = 0.5) -> None",  # noqa: E501
    "tfc.FaultsConfig": "(dropout: 'float' = 0.0, not_finite: 'float' = 0.0, corrupt: 'float' = 0.0, deadline_seconds: 'float' = 0.0, min_clients: 'int' = 0, max_attempts: 'int' = 3, poisoned_clients: 'int' = 0, poison_scale: 'float' = -10.0) -> None",  # noqa: E501
    "tfc.load_dataset": "(config: 'ExperimentConfig', data: 'Any' = None) -> 'Dataset'",
    "tfc.Dataset": "(name: 'str', x_train: 'np.ndarray', y_train: 'np.ndarray', x_test: 'np.ndarray', y_test: 'np.ndarray', num_classes: 'int', kind: 'str' = 'image', owners: 'np.ndarray | None' = None, class_names: 'tuple[str, ...]' = (), synthetic: 'bool' = False) -> None",  # noqa: E501
    "tfc.run": "(config: 'ExperimentConfig', out: 'str | Path', *, force: 'bool' = False, progress: 'bool' = True, record_payloads: 'bool' = False, workers: 'Sequence[str]' = (), data: 'Any' = None, model: 'tf.keras.Model | None' = None, model_fn: 'ModelFn | None' = None, process: 'Any' = None) -> 'FinishedRun'",  # noqa: E501
    "tfc.read_run": "(path: 'str | Path') -> 'FinishedRun'",
    "tfc.FinishedRun": "(path: 'Path', summary: 'dict[str, Any]', rounds: 'tuple[RoundMetrics, ...]', class_counts: 'tuple[tuple[int, ...], ...]' = (), label: 'str' = '', smooth: 'int' = 1) -> None",  # noqa: E501
    "tfc.RoundMetrics": "(round: 'int', accuracy: 'float', loss: 'float', num_clusters: 'int', quality_score: 'float', uplink_bytes: 'int', downlink_bytes: 'int', key_frame_bytes: 'int', rate_weight: 'float', clients_ok: 'int', clients_failed: 'int', seconds: 'float', clients_dropped: 'int' = 0, clients_not_finite: 'int' = 0, clients_corrupt: 'int' = 0, clients_late: 'int' = 0, attempts: 'int' = 1, simulated_seconds: 'float' = 0.0, downlink_key_frame_bytes: 'int' = 0, downlink_catch_up_bytes: 'int' = 0) -> None",  # noqa: E501
    "tfc.accuracy_per_megabyte": "(runs: 'Sequence[FinishedRun]') -> 'Figure'",
    "tfc.clusters_and_quality": "(runs: 'Sequence[FinishedRun]') -> 'Figure'",
    "tfc.encode": "(message: 'Message', spec: 'MessageSpec', held: 'ReferenceModel | None' = None, *, update: 'bool' = False, catch_up: 'bool' = False) -> 'bytes'",  # noqa: E501
    "tfc.encode_seed": "(seed: 'int', num_clusters: 'int', scalars: 'np.ndarray', spec: 'MessageSpec') -> 'bytes'",
    "tfc.decode": "(payload: 'bytes', spec: 'MessageSpec', held: 'ReferenceModel | None' = None) -> 'Decoded'",
    "tfc.Message": "(num_clusters: ForwardRef('Any'), palettes: ForwardRef('tuple[Palette, ...]'), others: ForwardRef('tuple[Any, ...]'), scalars: ForwardRef('Any'), band_scales: ForwardRef('tuple[Any, ...]') = ())",  # noqa: E501
    "tfc.MessageSpec": "(kernel_shapes: 'tuple[tuple[int, ...], ...]', other_shapes: 'tuple[tuple[int, ...], ...]', max_clusters: 'int', num_scalars: 'int' = 0, kinds: 'tuple[Kind, ...]' = (<Kind.KEY_FRAME: 0>, <Kind.DELTA: 1>), reference_clusters: 'int' = 0, initial_kernels: 'tuple[InitialValue, ...]' = (), initial_others: 'tuple[InitialValue, ...]' = (), relative_others: 'tuple[bool, ...]' = (), other_bits: 'int' = 4, remembers_moves: 'bool' = True) -> None",  # noqa: E501
    "tfc.Kind": "IntEnum: KEY_FRAME, DELTA, UPDATE, SEED, CATCH_UP",
    "tfc.InitialValue": "(constant: 'float' = 0.0, limit: 'float' = 0.0, tensor: 'int' = 0) -> None",
    "tfc.ReferenceModel": "(num_clusters: ForwardRef('Any'), palettes: ForwardRef('tuple[Palette, ...]'), moves: ForwardRef('tuple[Any, ...]'), others: ForwardRef('tuple[Any, ...]'))",  # noqa: E501
    "tfc.Decoded": "(message: ForwardRef('Message'), moves: ForwardRef('tuple[Any, ...]'))",
    "tfc.Palette": "(codebook: ForwardRef('Any'), indices: ForwardRef('Any'))",
    "tfc.FedCompressError": "error: Exception",
    "tfc.TfcError": "error: FedCompressError",
    "tfc.ConfigError": "error: TfcError",
    "tfc.DataError": "error: TfcError",
    "tfc.RunError": "error: TfcError",
    "tfc.RunInterruptedError": "error: TfcError",
    "tfc.WorkerError": "error: TfcError",
    "tfc.CodecError": "error: FedCompressError, ValueError",
    "edge.export": "(source: 'str | Path', out: 'str | Path', variants: 'tuple[str, ...]' = ('f32',), calibration: 'str | Path | None' = None, name: 'str | None' = None, prepare: 'Callable[[tf.keras.Model], tf.keras.Model]' = <lambda>, *, palettes: 'PaletteSettings | None' = None, sweep: 'bool' = False, allow_disagreement: 'bool' = False, trust: 'bool' = False, started: 'Callable[[str], None]' = <lambda>, progress: 'bool' = False) -> 'Exported'",  # noqa: E501
    "edge.Exported": "(paths: 'dict[str, Path]', lost_palettes: 'dict[str, str]' = <factory>, left_out: 'dict[str, str]' = <factory>, differences: 'dict[str, float]' = <factory>, kernels: 'tuple[KernelFate, ...]' = (), agreements: 'dict[str, float]' = <factory>, palettes: 'tuple[KernelPalette, ...]' = (), left_kernels: 'dict[str, str]' = <factory>, sweep: 'tuple[SweepPoint, ...]' = ()) -> None",  # noqa: E501
    "edge.KernelFate": "(layer: 'str', part: 'str', weights: 'int', distinct: 'int', what: 'str') -> None",
    "edge.KernelPalette": "(name: 'str', operator: 'str', weights: 'int', values: 'int', bits: 'float', error: 'float | None') -> None",  # noqa: E501
    "edge.PaletteSettings": "(clusters: 'int | None' = None, bits: 'float | None' = None, target_bytes: 'int | None' = None, max_loss: 'float | None' = None, method: 'PaletteMethod' = <factory>) -> None",  # noqa: E501
    "edge.PaletteMethod": "(weighted: 'bool' = True, compensated: 'bool' = True, bias_correction: 'bool' = True, rounds: 'int' = 4) -> None",  # noqa: E501
    "edge.SweepPoint": "(clusters: 'int', bits: 'float', file_bytes: 'int', table_bytes: 'int | None', packed_bytes: 'int', same_largest: 'float | None', difference: 'float') -> None",  # noqa: E501
    "edge.prepare": "(model: 'tf.keras.Model', settings: 'ClusterSettings', data: 'tuple[np.ndarray | tuple[np.ndarray, ...], np.ndarray] | None' = None, seed: 'int' = 0, *, progress: 'bool' = False) -> 'tf.keras.Model'",  # noqa: E501
    "edge.ClusterSettings": "(clusters: 'int' = 0, cqat: 'bool' = False, epochs: 'int' = 1, learning_rate: 'float' = 0.0001, batch_size: 'int' = 64) -> None",  # noqa: E501
    "edge.inspect": "(path: 'str | Path') -> 'dict[str, Any]'",
    "edge.format_inspection": "(found: 'dict[str, Any]') -> 'str'",
    "edge.TfliteView": "(content: 'bytes', subgraph: 'int' = 0) -> 'None'",
    "edge.TensorView": "(name: 'str', shape: 'tuple[int, ...]', type: 'str', scales: 'np.ndarray', start: 'int', num_bytes: 'int', buffer_table: 'int', stored_as: 'str', scales_start: 'int' = 0, zero_point: 'int' = 0) -> None",  # noqa: E501
    "edge.OperatorView": "(name: 'str', inputs: 'tuple[int, ...]', outputs: 'tuple[int, ...]') -> None",
    "edge.KernelView": "(operator: 'str', tensor: 'int', channel_axis: 'int') -> None",
    "edge.pack": "(content: 'bytes') -> 'bytes'",
    "edge.unpack": "(packed: 'bytes') -> 'bytes'",
    "edge.make_patch": "(old: 'bytes', new: 'bytes') -> 'bytes'",
    "edge.apply_patch": "(old: 'bytes', patch: 'bytes') -> 'bytes'",
    "edge.bench_files": "(files: 'Sequence[str | Path]', *, baseline: 'str | Path | None' = None, data: 'str | Path | None' = None, runtime: 'str' = 'auto', settings: 'BenchSettings | None' = None, energy_command: 'str | None' = None, progress: 'Progress' = <lambda>) -> 'dict[str, Any]'",  # noqa: E501
    "edge.read_bench": "(path: 'str | Path') -> 'dict[str, Any]'",
    "edge.BenchSettings": "(threads: 'int' = 1, kernels: 'str' = 'xnnpack', batch: 'int' = 1, warm_up_runs: 'int' = 10, min_runs: 'int' = 100, min_seconds: 'float' = 1.0, slices: 'int' = 20, keep_state: 'bool' = False) -> None",  # noqa: E501
    "edge.Progress": "type: collections.abc.Callable[[str, float], None]",
    "edge.format_bench": "(result: 'dict[str, Any]') -> 'str'",
    "edge.format_comparison": "(results: 'Sequence[dict[str, Any]]') -> 'str'",
    "edge.verify": "(reference: 'str | Path', candidate: 'str | Path', data: 'str | Path | None' = None, settings: 'VerifySettings | None' = None) -> 'dict[str, Any]'",  # noqa: E501
    "edge.VerifySettings": "(runtime: 'str' = 'auto', exact: 'bool | None' = None, min_agreement: 'float' = 0.9, random_inputs: 'int' = 100, seed: 'int' = 0, kernels: 'str' = 'xnnpack', keep_state: 'bool' = False) -> None",  # noqa: E501
    "edge.Comparison": "(inputs: 'str', equal: 'float', agreement: 'float | None', max_error: 'float', accuracies: 'tuple[float, float] | None' = None, relative_error: 'float' = 0.0, correlation: 'float | None' = None, real: 'bool' = False, undecided: 'str' = '', qualities: 'tuple[Quality, Quality] | None' = None, single_class: 'bool' = False) -> None",  # noqa: E501
    "edge.Quality": "(kind: 'str', metric: 'str', value: 'float | None', root_mean_square: 'float | None' = None, output: 'str' = '', reason: 'str' = '', left_out: 'int' = 0, also: 'tuple[str, ...]' = ()) -> None",  # noqa: E501
    "edge.format_verification": "(found: 'dict[str, Any]') -> 'str'",
    "edge.firmware_bundle": "(path: 'str | Path', data: 'str | Path | None' = None, *, examples: 'int' = 2, class_names: 'Sequence[str]' = (), seed: 'int' = 0) -> 'Bundle'",  # noqa: E501
    "edge.Bundle": "(files: 'dict[str, str]', flash_bytes: 'int', arena_scratch_bytes: 'int', arena_persistent_bytes: 'int', operators: 'tuple[str, ...]') -> None",  # noqa: E501
    "edge.find_runtime": "(name: 'str' = 'auto') -> 'Runtime'",
    "edge.Runtime": "(name: 'str', module: 'str', package: 'str', install: 'str', open: 'Callable[[str, bytes, InterpreterOptions], Interpreter]' = <class 'edge.running.interpreters.LinuxInterpreter'>, has_tables: 'bool' = False, automatic: 'bool' = True) -> None",  # noqa: E501
    "edge.TfliteModel": "(path: 'str | Path', runtime: 'Runtime', options: 'InterpreterOptions | None' = None) -> 'None'",  # noqa: E501
    "edge.InterpreterOptions": "(threads: 'int' = 1, kernels: 'str' = 'xnnpack', batch: 'int' = 1, keep_state: 'bool' = False) -> None",  # noqa: E501
    "edge.Interpreter": "(*args, **kwargs)",
    "edge.Boundary": "(shape: ForwardRef('tuple[int, ...]'), dtype: ForwardRef('Any'), scale: ForwardRef('float'), zero_point: ForwardRef('int'), name: ForwardRef('str') = '', limit: ForwardRef('int') = 0)",  # noqa: E501
    "edge.EdgeError": "error: FedCompressError",
    "edge.ModelFileError": "error: EdgeError",
    "edge.DataFileError": "error: EdgeError",
    "edge.RuntimeMissingError": "error: EdgeError",
}


def described(value):
    """A function's or class' signature, an error's base, a registry's keys, what an alias stands for: as text."""
    if isinstance(value, types.GenericAlias) or value is typing.Any:
        return f"type: {value}"
    if isinstance(value, type) and issubclass(value, Exception):
        return f"error: {', '.join(base.__name__ for base in value.__bases__)}"
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return f"{value.__bases__[0].__name__}: {', '.join(value.__members__)}"
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
    if callable(value) and not isinstance(value, types.GenericAlias):
        assert value.__doc__ and not value.__doc__.startswith(f"{value.__name__}("), "a docstring of its own"


def test_every_name_is_in_the_reference_and_nothing_else_but_the_methods():
    documented = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    builders = {each for each in documented if each.startswith("tfc.methods.")}
    assert sorted(set(documented) - builders) == sorted(SIGNATURES) and len(documented) == len(set(documented))
    public = {f"{module}.{name}" for name, module in tfc._PUBLIC.items()}
    built_by = {f"{method.build.__module__}.{method.build.__name__}" for method in tfc.METHODS.values()}
    assert builders == built_by - public
    without_paper = {name for name, method in tfc.METHODS.items() if "Source:" not in method.build.__doc__}
    assert without_paper == {"tff8bit"}, "TFF's own"


def test_every_type_and_error_that_the_public_api_mentions_is_public():
    assert not_public(definitions()) == []


def test_a_type_or_error_that_is_not_public_is_found():
    without = definitions()
    for name in ("tfc.FinishedRun", "tfc.DataError", "edge.TensorView", "edge.Progress"):
        del without[name]
    found = set(not_public(without))
    assert found > {
        "tfc.run: tfc.simulation.folder.FinishedRun",
        "tfc.load_dataset: tfc.base.errors.DataError",
        "edge.TfliteView.tensors: edge.formats.tflite_reader.TensorView",
        "edge.bench_files: edge.measuring.interleaving.Progress",
    }
    parts = ("FinishedRun", "DataError", "TensorView", "Progress")
    assert all(each.endswith(parts) for each in found)


def test_no_module_hides_a_public_name():
    """The import system puts a module into its package under its name, in the place of a function of that name."""
    for package in (tfc, edge):
        modules = {path.stem for path in Path(package.__file__).parent.iterdir()}
        assert not modules & set(package._PUBLIC)


def test_all_errors_of_both_packages_are_one_family():
    errors = set()
    for package in (tfc, edge):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                values = vars(importlib.import_module(module.name)).values()
                errors |= {each for each in values if inspect.isclass(each) and issubclass(each, BaseException)}
    ours = {error for error in errors if error.__module__.partition(".")[0] in ("tfc", "edge")}
    assert len(ours) > 10
    assert not {error for error in ours if not issubclass(error, tfc.FedCompressError)}
    assert issubclass(tfc.CodecError, ValueError), "as it was before the family was one"


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
    assert ours == {package, "tfc", "tfc.base", "tfc.base.lazy_exports", "tfc.base.version"}
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
