"""The keys of the configuration: frozen dataclasses with every key's default, meaning and allowed values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tfc.codec.palette import MAX_CLUSTERS
from tfc.registries import (
    AGGREGATORS,
    AUGMENTATIONS,
    CENTROID_STARTS,
    DATASETS,
    INPUT_KINDS,
    LAYER_CHOICES,
    METHODS,
    MODELS,
    OOD_SOURCES,
    PARTITIONS,
    SERVER_OPTIMIZERS,
    SIDE_PARAMETER_FORMS,
    UPLINK_MODES,
    WORD_CHOICES,
)


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


def key(default: Any, help: str, allowed: Range | Collection[str] | None = None) -> Any:
    """Declares a key of the configuration: its default, its meaning, its allowed values (a registry: its names)."""
    return field(default=default, metadata={"help": help, "allowed": allowed})


CLIENTS_AT_A_TIME = 20
"""Clients that a worker trains at a time: more take more memory, however small their data are."""

MODEL_SUFFIXES = (".keras", ".h5")
IN_MEMORY = "memory"
"""Name of data and models that are handed to `tfc.run` in Python."""
_COUNT = Range(1)
_COUNT_OR_ZERO = Range(0)
_RATE = Range(0, None, open_low=True)


@dataclass(frozen=True)
class DataConfig:
    """Which data, and how they are divided among clients.

    Examples:
        >>> import tfc
        >>> tfc.DataConfig().num_clients
        10
    """

    dataset: str = key("mnist5k", "data set", (*DATASETS, IN_MEMORY))
    data_dir: str = key("", "folder (or NPZ file) of the data; empty for the usual places")
    kind: str = key(
        "auto",
        "what own inputs are; auto: two axes are a table, three or four images, so sequences and tokens are named here",
        ("auto", *INPUT_KINDS),
    )
    npz_keys: str = key(
        "", "npz: the file's names of x_train, y_train, x_test, y_test, with commas; empty where it has these"
    )
    test_fraction: float = key(
        0.0, "own data without a test part: share of each class that is split off for it", Range(0, 1, open_high=True)
    )
    clip_seconds: float = key(0.0, "audio is padded or cropped to this length; 0: 1 s, voxforge 3 s", Range(0, 60))
    words: str = key(
        "twelve", "speech_commands: ten words, the same with unknown and silence, or all words", WORD_CHOICES
    )
    fold: int = key(
        -1, "watch: which fifth of the people is held out for testing; -1: the run's seed modulo 5", Range(-1, 4)
    )
    clips_per_class: int = key(0, "audio: at most so many training clips of a class; 0 for all", _COUNT_OR_ZERO)
    image_size: int = key(
        0,
        "pads images with zeros (resizes those of a folder) to this height and width; 0 keeps their size",
        _COUNT_OR_ZERO,
    )
    channels: int = key(0, "repeats the channels to this number; 0 keeps them as they are", _COUNT_OR_ZERO)
    partition: str = key("iid", "how examples are divided among clients", PARTITIONS)
    alpha: float = key(0.5, "dirichlet: concentration; the smaller, the more clients' classes differ", _RATE)
    quantity_sigma: float = key(1.0, "quantity: standard deviation of the logarithm of clients' sizes", Range(0, 5))
    growth_start: float = key(
        1.0, "share of its training examples that a client has in round 1", Range(0, 1, open_low=True)
    )
    growth_rounds: int = key(0, "rounds until clients have all their training examples, in equal steps", _COUNT_OR_ZERO)
    min_examples: int = key(10, "all but iid: examples of the smallest client", _COUNT)
    num_clients: int = key(10, "number of clients", _COUNT)
    examples_per_client: int = key(0, "examples of each client; 0 divides all of them evenly", _COUNT_OR_ZERO)
    validation_fraction: float = key(0.1, "share of each client's examples for validation", Range(0, 1, open_high=True))


@dataclass(frozen=True)
class ModelConfig:
    """Which model.

    Examples:
        >>> import tfc
        >>> tfc.ModelConfig().name
        'resnet8'
    """

    name: str = key("resnet8", f"{', '.join(MODELS)}, or a Keras model's file (.keras, .h5)")
    initial: str = key("seed", "first weights: expanded from the run's seed, or the Keras model's own", ("seed", "own"))
    embedding: str = key(
        "", "layer whose output the quality score is computed on; empty: 'embedding', else the last Dense layer's input"
    )
    batchnorm_momentum: float = key(
        0.9, "share of the old moving average that a training step keeps", Range(0, 1, open_high=True)
    )


@dataclass(frozen=True)
class TrainingConfig:
    """Training at a client in one round. FedAvg trains plain_epochs + clustered_epochs plain epochs.

    Examples:
        >>> import tfc
        >>> tfc.TrainingConfig().batch_size
        64
    """

    batch_size: int = key(64, "examples per step; an incomplete last batch is dropped", _COUNT)
    plain_epochs: int = key(2, "epochs of ordinary training (E)", _COUNT_OR_ZERO)
    clustered_epochs: int = key(0, "epochs through a palette (E_c); 0: it is fitted after training", _COUNT_OR_ZERO)
    learning_rate: float = key(1e-3, "Adam's learning rate in plain epochs", _RATE)
    clustered_learning_rate: float = key(5e-4, "Adam's learning rate in clustered epochs", _RATE)
    final_learning_rate_share: float = key(
        1.0, "share of the learning rates that is left in the last round; 1: they stay", Range(0, 1, open_low=True)
    )
    final_rounds: int = key(5, "number of last rounds in which learning rates fall by equal factors", _COUNT)
    augmentation: str = key("none", "random changes of images in every step: flip, crop, cutout", AUGMENTATIONS)


@dataclass(frozen=True)
class ClusteringConfig:
    """Weight clustering and the controller of the number of clusters.

    Examples:
        >>> import tfc
        >>> tfc.ClusteringConfig().max_clusters
        32
    """

    layers: str = key("all", "which kernels are clustered", LAYER_CHOICES)
    start: str = key("broadcast", "a client's first centroids: the broadcast codebook, or drawn anew", CENTROID_STARTS)
    min_clusters: int = key(16, "number of clusters at the start (C_min)", Range(2, MAX_CLUSTERS))
    max_clusters: int = key(32, "largest number of clusters (C_max)", Range(2, MAX_CLUSTERS))
    step: int = key(4, "clusters added at a time", _COUNT)
    patience: int = key(2, "rounds at a number of clusters before it may grow", _COUNT)
    window: int = key(2, "rounds of the moving averages", _COUNT)
    init_rounds: int = key(3, "rounds before the number of clusters may grow at all", _COUNT)
    limit: float = key(0.01, "rise of the validation accuracy that counts as growth", Range(0))


@dataclass(frozen=True)
class CommunicationConfig:
    """What travels, and how exactly.

    Examples:
        >>> import tfc
        >>> tfc.CommunicationConfig().rate_weight
        0.8
    """

    uplink: str = key("update", "what clients palettize: their weights (the paper), or their update", UPLINK_MODES)
    levels: int = key(9, "slots of an update's codebook, one of them zero; an odd number", Range(3, 33))
    rate_weight: float = key(0.8, "cost of one bit of an update, in mean squares of the update", Range(0, 4))
    final_rate_weight: float = key(0.0, "rate weight in the last round; 0 for rate_weight", Range(0, 4))
    final_rounds: int = key(5, "number of last rounds in which the rate weight falls by equal factors", _COUNT)
    target_ratio: float = key(
        0.0, "communication ratio to reach by adapting the rate weight; 0: no target", Range(0, 10_000)
    )
    sparsity: float = key(
        0.0,
        "share of an update's values that travel (stc, fedzip); 0 for the method's own",
        Range(0, 1, open_high=True),
    )
    uplink_bits: int = key(1, "bits per value of a client's update (eden)", Range(1, 8))
    downlink_bits: int = key(3, "bits per value of a broadcast's change (eden)", Range(1, 8))
    small_values: str = key(
        "int8",
        "stc, fedzip, eden: form of the values that the codec leaves out, such as BatchNorm",
        SIDE_PARAMETER_FORMS,
    )


@dataclass(frozen=True)
class ServerConfig:
    """Server-side self-compression: distillation into the clustered model on out-of-distribution data.

    Examples:
        >>> import tfc
        >>> tfc.ServerConfig().temperature
        2.0
    """

    compression: bool = key(
        True,
        "palettized broadcasts; false: float32 means, the paper's arm without server-side compression",
    )
    master: bool = key(True, "the server keeps float weights, in which updates smaller than a cluster's width add up")
    rate_weight: float = key(
        0.0,
        "cost of one bit of a broadcast's indices, in mean squared distances of weights to their nearest centroids",
        Range(0, 4),
    )
    kept_broadcasts: int = key(
        32,
        "old broadcasts that the server keeps, so that a client that missed rounds gets what changed since in one "
        "message; 0: all missed broadcasts or a key frame",
        _COUNT_OR_ZERO,
    )
    epochs: int = key(2, "epochs of distillation per round; 0 for clustering without distillation", _COUNT_OR_ZERO)
    batch_size: int = key(64, "examples per step of distillation", _COUNT)
    learning_rate: float = key(1e-4, "Adam's learning rate of distillation", _RATE)
    temperature: float = key(2.0, "temperature T of the softmax", _RATE)
    ood_examples: int = key(2000, "out-of-distribution examples per epoch", _COUNT)
    ood: str = key(
        "auto",
        "data for distillation; auto: images or audio as the inputs are, noise for tables, sequences and tokens",
        ("auto", *OOD_SOURCES),
    )
    update_norm_bound: float = key(0.0, "a client's change is scaled down to this L2 norm; 0: no bound", Range(0))
    noise_multiplier: float = key(
        0.3, "aggregation dp: standard deviation of the noise in units of server.update_norm_bound", Range(0)
    )
    ood_dir: str = key("", "folder of images, or of WAV and FLAC files, for distillation; empty: procedural data")


@dataclass(frozen=True)
class ServerOptimizerConfig:
    """How the mean of the clients' changes moves the global model, in every method.

    Examples:
        >>> import tfc
        >>> tfc.ServerOptimizerConfig().name
        'average'
    """

    name: str = key(
        "average", "the clients' mean is the new model; or FedAvgM's momentum, or FedAdam", SERVER_OPTIMIZERS
    )
    learning_rate: float = key(
        0.0,
        "momentum, adam: learning rate, the mean change is the gradient; 0: 1 for momentum, 0.01 for adam",
        Range(0),
    )
    momentum: float = key(
        0.5,
        "momentum, adam: share of the last rounds' changes that is kept",
        Range(0, 1, open_low=True, open_high=True),
    )
    fade_rounds: int = key(5, "momentum: number of last rounds in which it falls evenly to 0", _COUNT)
    second_momentum: float = key(0.99, "adam: share of the old second moment", Range(0, 1, open_high=True))
    epsilon: float = key(1e-3, "adam: added to the root of the second moment", _RATE)


@dataclass(frozen=True)
class NetworkConfig:
    """Links and devices of the clients, for simulated time: it changes no result unless there is a deadline.

    Examples:
        >>> import tfc
        >>> tfc.NetworkConfig().uplink_mbps
        5.0
    """

    uplink_mbps: float = key(5.0, "a client's uplink, 10^6 bits per second", _RATE)
    downlink_mbps: float = key(20.0, "a client's downlink, 10^6 bits per second", _RATE)
    examples_per_second: float = key(200.0, "training speed of the median client", _RATE)
    speed_spread: float = key(0.5, "standard deviation of the logarithm of clients' speeds", Range(0, 5))


@dataclass(frozen=True)
class FaultsConfig:
    """Simulated faults, drawn anew for every client in every attempt of every round.

    Examples:
        >>> import tfc
        >>> tfc.FaultsConfig().dropout
        0.0
    """

    dropout: float = key(0.0, "probability that a client drops out", Range(0, 1))
    not_finite: float = key(0.0, "probability that a client's update is not finite", Range(0, 1))
    corrupt: float = key(0.0, "probability that a client's answer is corrupted in transit", Range(0, 1))
    deadline_seconds: float = key(0.0, "answers later than this (simulated) do not count; 0: no deadline", Range(0))
    min_clients: int = key(0, "a round with fewer valid answers is repeated with other clients", _COUNT_OR_ZERO)
    max_attempts: int = key(3, "attempts at a round before the run ends with an error", _COUNT)
    poisoned_clients: int = key(0, "number of clients that always send a harmful update", _COUNT_OR_ZERO)
    poison_scale: float = key(-10.0, "what poisoned clients multiply the change of their weights by", Range(-1e6, 1e6))


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment.

    Examples:
        >>> import tfc
        >>> tfc.ExperimentConfig().rounds
        12
    """

    method: str = key("fedcompress", f"federated method: {', '.join(METHODS)}", METHODS)
    rounds: int = key(12, "number of rounds", _COUNT)
    aggregation: str = key(
        "mean",
        "how fedavg aggregates: payloads to a mean, or tensors with one of TFF's aggregators",
        ("mean", *AGGREGATORS),
    )
    clients_per_round: int = key(0, "clients sampled each round; 0 for all", _COUNT_OR_ZERO)
    seed: int = key(0, "seed of everything random", Range(0, 2**31 - 1))
    max_concurrent_clients: int = key(
        CLIENTS_AT_A_TIME,
        "clients that a worker trains at the same time: more take more memory; 0 for all; it changes no result",
        _COUNT_OR_ZERO,
    )
    insecure_worker: bool = key(
        False,
        "where no private network is permitted, a worker that all who reach this machine can use; no result changes",
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    clustering: ClusteringConfig = field(default_factory=ClusteringConfig)
    communication: CommunicationConfig = field(default_factory=CommunicationConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    server_optimizer: ServerOptimizerConfig = field(default_factory=ServerOptimizerConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    faults: FaultsConfig = field(default_factory=FaultsConfig)
