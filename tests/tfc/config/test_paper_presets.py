"""The paper's five tasks: their settings, and two rounds of each on small generated files of the real formats."""

import numpy as np
import pytest
from data_files import pathmnist_arrays, write_cifar10, write_cifar100, write_speech_commands, write_voxforge

from tfc import config
from tfc.simulation.folder import read_run
from tfc.simulation.loop import run

ROUNDS = {
    "cifar10-resnet20": 100,
    "cifar100-resnet20": 500,
    "pathmnist-resnet20": 100,
    "speech-commands-mobilenet": 50,
    "voxforge-mobilenet": 40,
}


@pytest.mark.parametrize("name", sorted(ROUNDS))
def test_presets_have_the_papers_settings(name):
    preset = config.load(name)
    assert (preset.method, preset.rounds, preset.clients_per_round) == ("fedcompress", ROUNDS[name], 0)
    assert (preset.data.num_clients, preset.data.partition, preset.data.validation_fraction) == (20, "iid", 0.1)
    assert preset.model.name == name.rsplit("-")[-1]
    training, clustering, server = preset.training, preset.clustering, preset.server
    assert (training.plain_epochs, training.clustered_epochs, training.batch_size) == (5, 5, 128)
    assert (training.learning_rate, training.clustered_learning_rate) == (1e-3, 5e-4)
    assert training.augmentation == ("flip-crop-cutout" if "resnet" in name else "none")
    assert (clustering.min_clusters, clustering.max_clusters, clustering.step) == (8, 30, 1)
    assert (clustering.patience, clustering.window, clustering.init_rounds, clustering.limit) == (4, 3, 3, 0.01)
    assert (clustering.layers, clustering.start) == ("conv", "kmeans++")
    assert (preset.communication.uplink, server.master) == ("weights", False)
    assert (server.epochs, server.batch_size, server.learning_rate, server.temperature) == (10, 256, 1e-4, 2.0)


def write_pathmnist(folder):
    folder.mkdir()
    np.savez(folder / "pathmnist.npz", **pathmnist_arrays())
    return folder


WRITERS = {
    "cifar10-resnet20": write_cifar10,
    "cifar100-resnet20": write_cifar100,
    "pathmnist-resnet20": write_pathmnist,
    "speech-commands-mobilenet": write_speech_commands,
    "voxforge-mobilenet": write_voxforge,
}


# With the presets' own models tracing is most of what these runs do: one task of images and one of audio take the
# method of the paper.
@pytest.mark.slow
@pytest.mark.parametrize(
    "name,method",
    [
        ("cifar10-resnet20", "fedcompress"),
        ("cifar100-resnet20", "fedavg"),
        ("pathmnist-resnet20", "fedavg"),
        ("speech-commands-mobilenet", "fedcompress"),
        ("voxforge-mobilenet", "fedavg"),
    ],
)
def test_presets_run_on_files_of_the_real_formats(name, method, tmp_path):
    folder = WRITERS[name](tmp_path / "data")
    small = [
        f"method={method}",
        "rounds=2",
        f"data.data_dir={folder}",
        "data.num_clients=2",
        "data.examples_per_client=9",
        "training.plain_epochs=1",
        "training.clustered_epochs=1",
        "training.batch_size=4",
        "server.epochs=1",
        "server.ood_examples=8",
        "server.batch_size=4",
    ]
    run(config.load(name, small), tmp_path / "run", progress=False)
    finished = read_run(tmp_path / "run")
    assert len(finished.rounds) == 2 and all(each.clients_ok == 2 for each in finished.rounds)
    assert np.isfinite([each.loss for each in finished.rounds]).all()
    assert np.sum(finished.class_counts) == 18 and finished.summary["synthetic"] is False
    assert (finished.summary["communication_ratio"] > 2) == (method == "fedcompress")
