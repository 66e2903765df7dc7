"""Checks of keys against one another: values that are allowed one by one may contradict each other."""

from __future__ import annotations

from tfc.base.errors import ConfigError
from tfc.config.keys import IN_MEMORY, MODEL_SUFFIXES, ExperimentConfig
from tfc.registries import AUDIO_SETS, MODELS


def check(config: ExperimentConfig) -> None:
    """Refuses keys that contradict each other.

    Args:
        config: Its keys are allowed one by one.

    Raises:
        ConfigError: If keys contradict each other; names them.
    """
    for part in (_check_model, _check_data, _check_training, _check_clustering, _check_faults, _check_fedcompress):
        part(config)


def _check_model(config: ExperimentConfig) -> None:
    name = config.model.name
    if name not in (*MODELS, IN_MEMORY) and not name.endswith(MODEL_SUFFIXES):
        raise ConfigError(
            f"model.name must be one of {', '.join(MODELS)}, or a file ({', '.join(MODEL_SUFFIXES)}); found {name!r}"
        )


def _check_data(config: ExperimentConfig) -> None:
    data, training = config.data, config.training
    if config.clients_per_round > data.num_clients:
        raise ConfigError(
            f"clients_per_round must be at most data.num_clients = {data.num_clients}; found {config.clients_per_round}"
        )
    if data.growth_start < 1 and data.growth_rounds < 2:
        raise ConfigError(
            f"data.growth_start = {data.growth_start:g} needs data.growth_rounds of at least 2, the first round in "
            f"which clients have all examples; found {data.growth_rounds}"
        )
    if data.dataset in AUDIO_SETS:
        for name, value, neutral in (
            ("data.image_size", data.image_size, 0),
            ("data.channels", data.channels, 0),
            ("training.augmentation", training.augmentation, "none"),
        ):
            if value != neutral:
                raise ConfigError(f"{name} = {value!r} is for images; {data.dataset} is audio")
    for name, what in (("npz", "NPZ file"), ("images", "folder of images")):
        if data.dataset == name and not data.data_dir:
            raise ConfigError(f"data.data_dir must name the {what} when data.dataset is {name}")


def _check_training(config: ExperimentConfig) -> None:
    training = config.training
    if training.plain_epochs + training.clustered_epochs < 1:
        raise ConfigError("training.plain_epochs + training.clustered_epochs must be at least 1; found 0")


def _check_clustering(config: ExperimentConfig) -> None:
    clustering = config.clustering
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


def _check_faults(config: ExperimentConfig) -> None:
    """Refuses impossible faults, and aggregations that don't fit the method."""
    most = config.clients_per_round or config.data.num_clients
    for name, value, limit, what in (
        ("faults.min_clients", config.faults.min_clients, most, "the clients of a round"),
        ("faults.poisoned_clients", config.faults.poisoned_clients, config.data.num_clients, "data.num_clients"),
    ):
        if value > limit:
            raise ConfigError(f"{name} must be at most {what} = {limit}; found {value}")
    if config.aggregation != "mean" and config.method != "fedavg":
        raise ConfigError(
            f"aggregation = {config.aggregation!r} needs method = 'fedavg': it aggregates float32 updates, and "
            f"{config.method} sends coded ones"
        )
    if config.aggregation == "dp" and not config.server.update_norm_bound:
        raise ConfigError("aggregation = 'dp' needs server.update_norm_bound: the noise is in units of it; found 0")


def _check_fedcompress(config: ExperimentConfig) -> None:
    """Refuses settings of the default method that would have no effect, or would lose what clients learned."""
    if config.method != "fedcompress":
        return
    communication, training = config.communication, config.training
    if communication.uplink == "weights":
        if training.clustered_epochs == 0 and config.clustering.start == "broadcast":
            raise ConfigError(
                "training.clustered_epochs must be at least 1 where communication.uplink = 'weights' and "
                "clustering.start = 'broadcast': snapping to the broadcast's centroids alone loses what was learned"
            )
        if communication.target_ratio:
            raise ConfigError(
                "communication.target_ratio needs communication.uplink = 'update': only updates have a rate weight"
            )
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
                f"server.compression = false needs {', '.join(missing)}: its float32 broadcasts have no palette "
                "that clients could start from"
            )
    if config.server.rate_weight and not config.server.compression:
        raise ConfigError("server.rate_weight needs server.compression = true: float32 broadcasts have no indices")
    if communication.target_ratio and config.clients_per_round not in (0, config.data.num_clients):
        raise ConfigError(
            "communication.target_ratio needs full participation (clients_per_round = 0): the server can't predict "
            "which broadcasts sampled clients will have missed"
        )
    if communication.final_rate_weight > communication.rate_weight:
        raise ConfigError(
            f"communication.final_rate_weight must be at most rate_weight = {communication.rate_weight:g}; "
            f"found {communication.final_rate_weight:g}"
        )
    if config.data.validation_fraction == 0:
        raise ConfigError(
            "data.validation_fraction must be more than 0 for fedcompress: its number of clusters follows the clients' "
            "validation accuracy"
        )
