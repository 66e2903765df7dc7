"""What tests share: one worker per session, small data, small models."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from hypothesis import settings

# Developers search for new examples at each run; CI repeats the same ones, so that its verdict is of the change alone.
# No deadline: a loaded machine takes longer, and no test asserts a speed.
settings.register_profile("searching", deadline=None)
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable" if os.environ.get("CI") else "searching")


@pytest.fixture(scope="module", autouse=True)
def _no_method_outlives_its_module():
    """Tests and examples register methods of their own; messages of other modules list the package's alone."""
    from tfc.registries import METHODS

    before = set(METHODS)
    yield
    for name in set(METHODS) - before:
        METHODS.remove(name)


@pytest.fixture(scope="session")
def worker():
    """TFF's worker process, as the default context of the session."""
    from tfc.workers.local import local_worker

    with local_worker() as process:
        yield process


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory):
    """Four classes of 8x8 images with a bright quarter each: 160 training and 80 test examples."""
    rng = np.random.default_rng(0)

    def examples(count):
        y = np.arange(count) % 4
        x = rng.random((count, 8, 8, 1)) * 0.5
        for image, label in zip(x, y, strict=True):
            row, column = 4 * (label // 2), 4 * (label % 2)
            image[row : row + 4, column : column + 4] += 0.5
        return (255 * x).astype(np.uint8), y

    x_train, y_train = examples(160)
    x_test, y_test = examples(80)
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def tiny_settings(tiny_npz):
    """`--set` texts of an experiment that takes seconds."""
    return [
        "rounds=3",
        "data.dataset=npz",
        f"data.data_dir={tiny_npz}",
        "data.num_clients=3",
        "data.examples_per_client=40",
        "training.batch_size=8",
        "clustering.min_clusters=4",
        "clustering.max_clusters=8",
        "clustering.init_rounds=1",
        "clustering.patience=1",
        "clustering.limit=9.0",
        "server.ood_examples=32",
        "server.batch_size=16",
    ]


@pytest.fixture(scope="session")
def plain(worker):
    """The tiny model without clustered kernels."""
    from tiny_federation import model_fn

    from tfc.federated.model_spec import ModelSpec

    return ModelSpec.of(model_fn, "none", 1, from_seed=False)


@pytest.fixture(scope="session", params=["weights", "update"])
def clustered(worker, request):
    """The tiny model with clustered convolutions, once per kind of uplink."""
    from tiny_federation import MAX_CLUSTERS, model_fn

    from tfc.federated.model_spec import ModelSpec

    return ModelSpec.of(model_fn, "conv", MAX_CLUSTERS, uplink_mode=request.param)
