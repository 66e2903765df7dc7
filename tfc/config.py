"""The configuration of one experiment: frozen dataclasses, TOML in, validated, TOML out."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from tfc.codec.palette import MAX_CLUSTERS
from tfc.errors import ConfigError

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Range:
    """Numbers that a key may have.

    Attributes:
        low: Smallest value.
        high: Largest value; None for no limit.
        open_low: Whether `low` itself is not allowed.
        open_high: Whether `high` itself is not allowed.
    """

    low: float
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below

    def __str__(self) -> str:
        low = f"{'more than' if self.open_low else 'at least'} {self.low:g}"
        return low if self.high is None else f"{low} and {'less than' if self.open_high else 'at most'} {self.high:g}"


def key(default: Any, help: str, allowed: Range | tuple[str, ...] | None = None) -> Any:
    """Declares a key of the configuration: its default, its meaning, its allowed values."""
    return field(default=default, metadata={"help": help, "allowed": allowed})


STARTS = ("seed", "own")
MODEL_NAMES = ("resnet8", "resnet20", "mobilenet", "dscnn")
MODEL_SUFFIXES = (".keras", ".h5")
IMAGE_SETS = ("mnist5k", "fashion_mnist", "cifar10", "cifar100", "pathmnist", "npz")
AUDIO_SETS = ("speech_commands", "voxforge", "spoken_words")
PARTITION_NAMES = ("iid", "dirichlet", "owner", "quantity")
OOD_NAMES = ("auto", "images", "audio")
AUGMENTATION_NAMES = ("none", "flip-crop-cutout")
WORDS = ("ten", "twelve", "all")
UPLINKS = ("weights", "update")
SMALL_VALUES = ("float32", "int8")
AGGREGATION_NAMES = ("mean", "robust", "dp")
METHODS = ("eden", "fedavg", "fedcompress", "fedzip", "stc", "tff8bit")
_COUNT = Range(1)
_COUNT_OR_ZERO = Range(0)
_RATE = Range(0, None, open_low=True)


@dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are divided among clients."""

    dataset: str = key("mnist5k", "data set", (*IMAGE_SETS, *AUDIO_SETS))
    data_dir: str = key("", "folder (or NPZ file) of the data; empty for the usual places")
    clip_seconds: float = key(0.0, "audio is padded or cropped to this length; 0: 1 s, voxforge 3 s", Range(0, 60))
    words: str = key("twelve", "speech_commands: ten words, the same with unknown and silence, or all words", WORDS)
    clips_per_class: int = key(0, "audio: at most so many training clips of a class; 0 for all", _COUNT_OR_ZERO)
    image_size: int = key(0, "images are padded with zeros to this height and width; 0 leaves them", _COUNT_OR_ZERO)
    channels: int = key(0, "channels are repeated to this number; 0 leaves them", _COUNT_OR_ZERO)
    partition: str = key("iid", "how examples are divided among clients", PARTITION_NAMES)
    alpha: float = key(0.5, "dirichlet: concentration; the smaller, the fewer clients hold a class", _RATE)
    quantity_sigma: float = key(1.0, "quantity: standard deviation of the logarithm of clients' sizes", Range(0, 5))
    growth_start: float = key(
        1.0, "share of its training examples that a client has in round 1", Range(0, 1, open_low=True)
    )
    growth_rounds: int = key(0, "rounds until clients have all they will get, by equal steps", _COUNT_OR_ZERO)
    min_examples: int = key(10, "dirichlet, owner, quantity: examples of the smallest client", _COUNT)
    num_clients: int = key(10, "number of clients", _COUNT)
    examples_per_client: int = key(0, "examples of each client; 0 divides all of them evenly", _COUNT_OR_ZERO)
    validation_fraction: float = key(0.1, "share of each client's examples for validation", Range(0, 1, open_high=True))


@dataclass(frozen=True)
class ModelConfig:
    """Which model."""

    name: str = key("resnet8", f"{', '.join(MODEL_NAMES)}, or a Keras model's file (.keras, .h5)")
    initial: str = key("seed", "first weights: expanded from the run's seed at both ends, or the model's own", STARTS)
    batchnorm_momentum: float = key(
        0.9, "share of the old moving average that a training step keeps", Range(0, 1, open_high=True)
    )


@dataclass(frozen=True)
class TrainingConfig:
    """Training at a client in one round. FedAvg trains plain_epochs + clustered_epochs plain epochs."""

    batch_size: int = key(64, "examples per step; an incomplete last batch is dropped", _COUNT)
    plain_epochs: int = key(2, "epochs with free weights (E)", _COUNT_OR_ZERO)
    clustered_epochs: int = key(0, "epochs through a palette (E_c); 0: it is fitted once, afterwards", _COUNT_OR_ZERO)
    learning_rate: float = key(1e-3, "Adam's learning rate in plain epochs", _RATE)
    clustered_learning_rate: float = key(5e-4, "Adam's learning rate in clustered epochs", _RATE)
    augmentation: str = key("none", "random changes of images in every step: flip, crop, cutout", AUGMENTATION_NAMES)


@dataclass(frozen=True)
class ClusteringConfig:
    """Weight clustering and the controller of the number of clusters."""

    layers: str = key("all", "which kernels are clustered", ("conv", "all", "all+depthwise"))
    start: str = key(
        "broadcast", "a client's first centroids: the broadcast codebook, or drawn anew", ("broadcast", "kmeans++")
    )
    min_clusters: int = key(16, "number of clusters at the start (C_min)", Range(2, MAX_CLUSTERS))
    max_clusters: int = key(32, "largest number of clusters (C_max)", Range(2, MAX_CLUSTERS))
    step: int = key(4, "clusters added at a time", _COUNT)
    patience: int = key(2, "rounds at a number of clusters before it may grow", _COUNT)
    window: int = key(2, "rounds of the moving averages", _COUNT)
    init_rounds: int = key(3, "rounds before the number of clusters may grow at all", _COUNT)
    limit: float = key(0.01, "rise of the validation accuracy that counts as growth", Range(0))


@dataclass(frozen=True)
class CommunicationConfig:
    """What travels, and how exactly."""

    uplink: str = key("update", "what clients palettize: their weights (the paper), or their update", UPLINKS)
    levels: int = key(9, "slots of an update's codebook, one of them zero; an odd number", Range(3, 33))
    rate_weight: float = key(0.8, "price of a bit of an update, in mean squares of the update", Range(0, 1.2))
    final_rate_weight: float = key(0.0, "price of a bit in the last round; 0 for rate_weight", Range(0, 1.2))
    final_rounds: int = key(5, "last rounds, in which the price falls by equal factors", _COUNT)
    target_ratio: float = key(
        0.0, "FedAvg's bytes by ours; the price then follows from what was sent; 0: it does not", Range(0, 10_000)
    )
    sparsity: float = key(
        0.0,
        "share of an update's values that travel (stc, fedzip); 0 for the method's own",
        Range(0, 1, open_high=True),
    )
    uplink_bits: int = key(1, "bits per value of a client's update (eden)", Range(1, 8))
    downlink_bits: int = key(3, "bits per value of a broadcast's change (eden)", Range(1, 8))
    small_values: str = key(
        "int8", "how values travel that a method (stc, fedzip, eden) leaves alone: BatchNorm statistics", SMALL_VALUES
    )


@dataclass(frozen=True)
class ServerConfig:
    """Server-side self-compression: distillation into the clustered model on out-of-distribution data."""

    compression: bool = key(
        True,
        "broadcasts are palettized; false, the paper's arm without it: they are float32 means",
    )
    master: bool = key(True, "the server keeps float weights that updates smaller than a cluster's width add up in")
    epochs: int = key(2, "epochs of distillation per round; 0 for clustering without distillation", _COUNT_OR_ZERO)
    batch_size: int = key(64, "examples per step of distillation", _COUNT)
    learning_rate: float = key(1e-4, "Adam's learning rate of distillation", _RATE)
    temperature: float = key(2.0, "temperature T of the softmax", _RATE)
    ood_examples: int = key(2000, "out-of-distribution examples per epoch", _COUNT)
    ood: str = key("auto", "what to distil on; auto: audio for data sets of audio, else images", OOD_NAMES)
    update_norm_bound: float = key(
        0.0, "a client's change is scaled down to this L2 norm; 0: it counts as it is", Range(0)
    )
    noise_multiplier: float = key(
        0.3, "aggregation dp: standard deviation of the noise in units of server.update_norm_bound", Range(0)
    )
    ood_dir: str = key("", "folder of images, or of WAV and FLAC files, to distil on; empty for procedural ones")


@dataclass(frozen=True)
class NetworkConfig:
    """Links and devices of the clients, for simulated time: it changes no result unless there is a deadline."""

    uplink_mbps: float = key(5.0, "a client's uplink, 10^6 bits per second", _RATE)
    downlink_mbps: float = key(20.0, "a client's downlink, 10^6 bits per second", _RATE)
    examples_per_second: float = key(200.0, "training speed of the median client", _RATE)
    speed_spread: float = key(0.5, "standard deviation of the logarithm of clients' speeds", Range(0, 5))


@dataclass(frozen=True)
class FaultsConfig:
    """What goes wrong, drawn anew for every client in every attempt of every round."""

    dropout: float = key(0.0, "probability that a client vanishes", Range(0, 1))
    not_finite: float = key(0.0, "probability that a client's update is not finite", Range(0, 1))
    corrupt: float = key(0.0, "probability that a client's answer is damaged on its way", Range(0, 1))
    deadline_seconds: float = key(0.0, "answers later than this (simulated) do not count; 0: all do", Range(0))
    min_clients: int = key(0, "a round with fewer sound answers is repeated with other clients", _COUNT_OR_ZERO)
    max_attempts: int = key(3, "attempts at a round before the run ends with an error", _COUNT)
    poisoned_clients: int = key(0, "number of clients that always send a harmful update", _COUNT_OR_ZERO)
    poison_scale: float = key(-10.0, "what poisoned clients multiply the change of their weights by", Range(-1e6, 1e6))


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment."""

    method: str = key("fedcompress", f"federated method: {', '.join(METHODS)}", METHODS)
    rounds: int = key(12, "number of rounds", _COUNT)
    aggregation: str = key(
        "mean", "how fedavg joins updates: as payloads, or by an aggregator of TFF's", AGGREGATION_NAMES
    )
    clients_per_round: int = key(0, "clients sampled each round; 0 for all", _COUNT_OR_ZERO)
    seed: int = key(0, "seed of everything random", Range(0, 2**31 - 1))
    max_concurrent_clients: int = key(
        0, "clients that train at the same time; 0 for as many as TFF likes", _COUNT_OR_ZERO
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    clustering: ClusteringConfig = field(default_factory=ClusteringConfig)
    communication: CommunicationConfig = field(default_factory=CommunicationConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    faults: FaultsConfig = field(default_factory=FaultsConfig)


def _checked_value(path: str, value: Any, expected: Any, allowed: Range | tuple[str, ...] | None) -> Any:
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        found = f"{value!r}, {type(value).__name__}"
        raise ConfigError(f"{path} must be of type {expected.__name__}, found {found}")
    if isinstance(allowed, tuple) and value not in allowed:
        raise ConfigError(f"{path} must be one of {', '.join(allowed)}; found {value!r}")
    if isinstance(allowed, Range) and value not in allowed:
        raise ConfigError(f"{path} must be {allowed}; found {value!r}")
    return value


def _build(cls: type, values: dict[str, Any], prefix: str = "") -> Any:
    fields = {item.name: item for item in dataclasses.fields(cls)}
    types_ = typing.get_type_hints(cls)
    built: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        if name not in fields:
            raise ConfigError(f"unknown key {path}; known here: {', '.join(prefix + known for known in fields)}")
        if dataclasses.is_dataclass(types_[name]):
            if not isinstance(value, dict):
                raise ConfigError(f"{path} must be a table, found {value!r}")
            built[name] = _build(types_[name], value, f"{path}.")
        else:
            built[name] = _checked_value(path, value, types_[name], fields[name].metadata["allowed"])
    return cls(**built)


def from_dict(values: dict[str, Any]) -> ExperimentConfig:
    """Builds a configuration from nested tables; keys that are not named keep their defaults.

    Args:
        values: What a TOML file holds.

    Raises:
        ConfigError: If a key is unknown, has a wrong type or an impossible value; names the key and what is allowed.
    """
    config: ExperimentConfig = _build(ExperimentConfig, values)
    clustering, training, data = config.clustering, config.training, config.data
    if clustering.min_clusters > clustering.max_clusters:
        raise ConfigError(
            f"clustering.min_clusters must be at most clustering.max_clusters = {clustering.max_clusters}; "
            f"found {clustering.min_clusters}"
        )
    if config.communication.levels % 2 == 0:
        raise ConfigError(
            f"communication.levels must be odd, so that zero is in the middle; found {config.communication.levels}"
        )
    if config.communication.uplink == "update" and not config.server.master:
        raise ConfigError(
            "server.master = false needs communication.uplink = 'weights': without a float master at the server, "
            "updates smaller than a cluster's width would be lost"
        )
    name = config.model.name
    if name not in MODEL_NAMES and not name.endswith(MODEL_SUFFIXES):
        raise ConfigError(
            f"model.name must be one of {', '.join(MODEL_NAMES)}, or a file ({', '.join(MODEL_SUFFIXES)}); "
            f"found {name!r}"
        )
    if training.plain_epochs + training.clustered_epochs < 1:
        raise ConfigError("training.plain_epochs + training.clustered_epochs must be at least 1; found 0")
    if config.method == "fedcompress":
        _check_fedcompress(config)
    if config.clients_per_round > data.num_clients:
        raise ConfigError(
            f"clients_per_round must be at most data.num_clients = {data.num_clients}; found {config.clients_per_round}"
        )
    _check_faults(config)
    if config.method == "fedcompress" and data.validation_fraction == 0:
        raise ConfigError(
            "data.validation_fraction must be more than 0 for fedcompress: its number of clusters follows the clients' "
            "validation accuracy"
        )
    if data.growth_start < 1 and data.growth_rounds < 2:
        raise ConfigError(
            f"data.growth_start = {data.growth_start:g} needs data.growth_rounds of at least 2, the first round in "
            f"which clients have everything; found {data.growth_rounds}"
        )
    if data.dataset in AUDIO_SETS:
        for name, value, neutral in (
            ("data.image_size", data.image_size, 0),
            ("data.channels", data.channels, 0),
            ("training.augmentation", training.augmentation, "none"),
        ):
            if value != neutral:
                raise ConfigError(f"{name} = {value!r} is for images; {data.dataset} is audio")
    if data.dataset == "npz" and not data.data_dir:
        raise ConfigError("data.data_dir must name the NPZ file when data.dataset is npz")
    return config


def _check_faults(config: ExperimentConfig) -> None:
    """Refuses faults that can't be, and ways to bear them that don't fit the method."""
    most = config.clients_per_round or config.data.num_clients
    for name, value, limit, what in (
        ("faults.min_clients", config.faults.min_clients, most, "the clients of a round"),
        ("faults.poisoned_clients", config.faults.poisoned_clients, config.data.num_clients, "data.num_clients"),
    ):
        if value > limit:
            raise ConfigError(f"{name} must be at most {what} = {limit}; found {value}")
    if config.aggregation != "mean" and config.method != "fedavg":
        raise ConfigError(
            f"aggregation = {config.aggregation!r} needs method = 'fedavg': it joins float32 updates, and those of "
            f"{config.method} are coded"
        )
    if config.aggregation == "dp" and not config.server.update_norm_bound:
        raise ConfigError("aggregation = 'dp' needs server.update_norm_bound: the noise is in units of it; found 0")


def _check_fedcompress(config: ExperimentConfig) -> None:
    """Refuses settings that would have no effect, or none that anybody wants."""
    communication, training = config.communication, config.training
    if communication.uplink == "weights":
        if training.clustered_epochs == 0 and config.clustering.start == "broadcast":
            raise ConfigError(
                "training.clustered_epochs must be at least 1 where communication.uplink = 'weights' and "
                "clustering.start = 'broadcast': snapping to the broadcast's centroids alone loses what was learned"
            )
        if communication.target_ratio:
            raise ConfigError("communication.target_ratio needs communication.uplink = 'update': weights have no price")
    elif training.plain_epochs == 0:
        raise ConfigError(
            "training.plain_epochs must be at least 1 where communication.uplink = 'update': a palette is fitted to "
            "what the plain epochs changed"
        )
    if not config.server.compression:
        wanted = {
            "communication.uplink = 'weights'": communication.uplink == "weights",
            "clustering.start = 'kmeans++'": config.clustering.start == "kmeans++",
            "server.master = false": not config.server.master,
        }
        missing = [text for text, holds in wanted.items() if not holds]
        if missing:
            raise ConfigError(
                f"server.compression = false needs {', '.join(missing)}: its broadcasts have no palette to start from "
                "or to change"
            )
    if communication.target_ratio and config.clients_per_round not in (0, config.data.num_clients):
        raise ConfigError(
            "communication.target_ratio needs every client in every round (clients_per_round = 0): the server can't "
            "foresee which broadcasts sampled clients will have missed"
        )
    if communication.final_rate_weight > communication.rate_weight:
        raise ConfigError(
            f"communication.final_rate_weight must be at most rate_weight = {communication.rate_weight:g}; "
            f"found {communication.final_rate_weight:g}"
        )


def to_dict(config: ExperimentConfig) -> dict[str, Any]:
    """Returns the nested tables that `from_dict` takes."""
    return dataclasses.asdict(config)


def to_toml(config: ExperimentConfig) -> str:
    """Returns the configuration as TOML, every key named."""
    import tomli_w

    return tomli_w.dumps(to_dict(config))


def preset_names() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def _parse_override(text: str) -> tuple[list[str], Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set takes key=value, such as training.batch_size=32; found {text!r}")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        try:
            parsed = float(value)  # TOML has no .5
        except ValueError:
            parsed = value  # a bare word is a string: --set method=fedavg
    return name.strip().split("."), parsed


def load(source: str, overrides: typing.Sequence[str] = ()) -> ExperimentConfig:
    """Loads a preset or a TOML file.

    Args:
        source: Name of a preset, or path of a TOML file.
        overrides: `key=value` texts that win over the file, keys with dots.

    Raises:
        ConfigError: If there is no such preset or file, it is no TOML, or what it says is not allowed.
    """
    path = PRESETS / f"{source}.toml"
    if not path.is_file():
        path = Path(source)
    if not path.is_file():
        raise ConfigError(f"no preset and no file named {source!r}; presets: {', '.join(preset_names())}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: not a readable TOML file: {error}") from error
    for text in overrides:
        names, value = _parse_override(text)
        table = values
        for name in names[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {text}: {name} is not a table")
        table[names[-1]] = value
    return from_dict(values)


def describe() -> list[tuple[str, Any, str, str]]:
    """Returns one row per key: name with dots, default, allowed values, meaning."""
    rows: list[tuple[str, Any, str, str]] = []

    def visit(cls: type, prefix: str) -> None:
        hints = typing.get_type_hints(cls)
        for item in dataclasses.fields(cls):
            if dataclasses.is_dataclass(hints[item.name]):
                visit(typing.cast(type, hints[item.name]), f"{prefix}{item.name}.")
            else:
                allowed = item.metadata["allowed"]
                text = ", ".join(allowed) if isinstance(allowed, tuple) else str(allowed or "")
                rows.append((prefix + item.name, item.default, text, item.metadata["help"]))

    visit(ExperimentConfig, "")
    return rows
