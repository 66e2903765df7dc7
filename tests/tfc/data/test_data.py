"""Loaders, partition and out-of-distribution images."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfc.base.errors import DataError
from tfc.data.images import fashion_mnist, mnist5k, read_idx
from tfc.data.npz_file import npz
from tfc.data.ood import dead_leaves, image_folder, procedural_images
from tfc.data.partition import Clients, iid, split_members
from tfc.data.pixels import to_float

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (20, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(20) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(10),
    }
    for number, (name, array) in enumerate(arrays.items()):
        content = idx(array)
        if number % 2:
            (tmp_path / name).write_bytes(content)
        else:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    return tmp_path, arrays


def test_mnist5k_holds_real_digits_in_equal_shares():
    dataset = mnist5k()
    assert dataset.x_train.shape == (4000, 28, 28, 1) and dataset.x_test.shape == (1000, 28, 28, 1)
    assert dataset.x_train.dtype == np.uint8 and dataset.num_classes == 10
    np.testing.assert_array_equal(np.bincount(dataset.y_train), [400] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.y_test), [100] * 10)


def test_fashion_mnist_reads_gzipped_and_plain_idx(idx_folder):
    folder, arrays = idx_folder
    dataset = fashion_mnist(folder)
    np.testing.assert_array_equal(dataset.x_train[..., 0], arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(dataset.y_test, arrays["t10k-labels-idx1-ubyte"])


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="install Debian's package dataset-fashion-mnist")
def test_the_real_fashion_mnist_loads():
    dataset = fashion_mnist()
    assert dataset.x_train.shape == (60000, 28, 28, 1) and dataset.x_test.shape == (10000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(dataset.y_train), [6000] * 10)


def test_missing_fashion_mnist_says_where_it_looked(tmp_path, idx_folder):
    with pytest.raises(DataError, match=r"not found in .*empty: install Debian's package dataset-fashion-mnist"):
        fashion_mnist(tmp_path / "empty")
    folder, _ = idx_folder
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\[.gz\] missing"):
        fashion_mnist(folder)


@pytest.mark.parametrize(
    "content,message",
    [
        (b"\x1f\x8b\x08damaged", "cannot be read"),
        (gzip.compress(b"no idx", mtime=0), "not an IDX file"),
        (gzip.compress(idx(np.zeros((2, 3)))[:-1], mtime=0), "its header asks for"),
        (gzip.compress(b"\0\0\x08\x03\0", mtime=0), "its header asks for"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def npz_arrays():
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.random((6, 4, 4)),
        "y_train": np.array([[0], [1], [2]] * 2),
        "x_test": rng.random((3, 4, 4)),
        "y_test": np.array([0, 1, 2]),
    }


def test_npz_takes_the_usual_conventions(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **npz_arrays())
    dataset = npz(path)
    assert dataset.x_train.shape == (6, 4, 4, 1) and dataset.x_train.dtype == np.float32
    np.testing.assert_array_equal(dataset.y_train, [0, 1, 2, 0, 1, 2])
    assert dataset.num_classes == 3


@pytest.mark.parametrize(
    "change,message",
    [
        ({"x_test": None}, "lacks x_test"),
        ({"y_train": np.zeros(5, int)}, "x_train has 6 examples and y_train 5"),
        ({"y_train": np.full(6, 0.5)}, r"y_train must be integers \(classes\), found 0\.5 in row 0"),
        ({"y_test": np.array([0, -1, 1])}, "class -1 is negative"),
        (
            {"x_train": np.zeros((6, 2, 2, 2, 2))},
            r"must have shape \(examples, height, width\[, channels\]\) for images or",
        ),
        ({"x_train": np.zeros((6, 16))}, r"x_test must have shape \(examples, features\) for data\.kind=table"),
        ({"x_train": np.full((6, 4, 4), np.nan)}, "not finite"),
        ({"x_test": np.zeros((3, 5, 5))}, "differ in shape"),
        ({"x_test": np.zeros((3, 4, 4), np.uint8)}, "training inputs are float32, test inputs uint8"),
    ],
)
def test_unfit_npz_files_are_refused(tmp_path, change, message):
    path = tmp_path / "data.npz"
    np.savez(path, **{key: value for key, value in {**npz_arrays(), **change}.items() if value is not None})
    with pytest.raises(DataError, match=message):
        npz(path)


def test_archives_with_a_damaged_inside_are_refused(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **npz_arrays())
    content = bytearray(path.read_bytes())
    content[60:120] = b"\xff" * 60
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable NPZ file"):
        npz(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="not a readable NPZ file"):
        npz(tmp_path / "one.npy")
    packed = bytearray(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (50, 50))), mtime=0))
    packed[20:60] = b"\xff" * 40
    (tmp_path / "x.gz").write_bytes(packed)
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path / "x.gz")


def test_clients_without_training_examples_are_refused():
    with pytest.raises(
        DataError,
        match=r"client 3 has 1 examples, and data\.validation_fraction=0\.1 leaves none .*: every client needs 2",
    ):
        split_members(np.array([4]), 0.1, seed=0, client=3)


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"data.npz: not a readable NPZ file"):
        npz(path)
    with pytest.raises(DataError, match="needs its file"):
        npz(None)


def test_iid_gives_disjoint_equal_parts_that_depend_on_the_seed():
    labels = np.zeros(103, int)
    parts = iid(labels, 5, 0, seed=1)
    assert [len(part) for part in parts] == [20] * 5
    assert len(np.unique(np.concatenate(parts))) == 100
    assert (iid(labels, 5, 0, seed=1)[0] == parts[0]).all() and (iid(labels, 5, 0, seed=2)[0] != parts[0]).any()
    assert [len(part) for part in iid(labels, 5, 7, seed=1)] == [7] * 5


@pytest.mark.parametrize("clients,each", [(5, 21), (104, 0)])
def test_more_clients_than_examples_are_refused(clients, each):
    with pytest.raises(DataError, match=f"data.num_clients={clients} clients .* the data set has 103"):
        iid(np.zeros(103, int), clients, each, seed=0)


def test_a_clients_examples_are_split_without_loss():
    x, y = np.arange(60).reshape(30, 2), np.arange(30)
    (client,) = Clients(x, y, [np.arange(5, 25)], 0.12, seed=0)
    assert len(client.y_validation) == 3  # 2.4 rounded up
    np.testing.assert_array_equal(np.sort(np.concatenate([client.y_train, client.y_validation])), np.arange(5, 25))
    np.testing.assert_array_equal(client.x_train[:, 0], 2 * client.y_train)


def test_clients_take_memory_when_they_are_asked_for():
    x, y = np.zeros((1000, 64, 64), np.uint8), np.arange(1000)
    tracemalloc.start()
    clients = Clients(x, y, np.split(np.arange(1000), 100), 0.1, seed=0)
    held, _ = tracemalloc.get_traced_memory()
    assert len(clients) == 100 and clients[7].x_train.shape == (9, 64, 64) and len(clients[:3]) == 3
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 0.05 * x.nbytes and after < 0.05 * x.nbytes
    with pytest.raises(IndexError):
        clients[100]


def test_pixels():
    np.testing.assert_allclose(to_float(tf.constant([0, 51, 255], tf.uint8)), [0, 0.2, 1])
    np.testing.assert_array_equal(to_float(tf.constant([-2.5])), [-2.5])


def test_dead_leaves_are_a_function_of_the_seed_and_full_of_edges():
    images = dead_leaves(30, (28, 28, 3), tf.constant([1, 2])).numpy()
    assert images.shape == (30, 28, 28, 3) and images.min() >= 0 and images.max() <= 1
    np.testing.assert_array_equal(images, dead_leaves(30, (28, 28, 3), tf.constant([1, 2])))
    assert (images != dead_leaves(30, (28, 28, 3), tf.constant([1, 3])).numpy()).mean() > 0.5
    # Real structure: neighbours resemble each other, whole images do not.
    neighbour = np.abs(np.diff(images, axis=2)).mean()
    assert neighbour < 0.5 * np.abs(images - images[:, ::-1, ::-1]).mean()
    assert images.std(axis=0).min() > 0.1


def test_procedural_images_yield_the_number_asked_for_twice_the_same():
    build = procedural_images(130, 50, (8, 8, 1), seed=4)
    batches = [batch.numpy() for batch in build()]
    assert [len(batch) for batch in batches] == [50, 50, 30]
    for first, second in zip(batches, build(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_image_folder_reads_and_resizes(tmp_path):
    (tmp_path / "sub").mkdir()
    for number in range(3):
        image = tf.cast(tf.fill([10, 12, 3], 100 * number), tf.uint8)
        (tmp_path / "sub" / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    (batch,) = image_folder(tmp_path, 10, 4, (8, 8, 1))()
    assert batch.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(batch.numpy()[:, 4, 4, 0], [0, 100 / 255, 200 / 255], atol=1e-2)


def test_image_folders_without_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds no image"):
        image_folder(tmp_path, 10, 4, (8, 8, 1))
    with pytest.raises(DataError, match="is no folder"):
        image_folder(tmp_path / "nothing", 10, 4, (8, 8, 1))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG but not really")
    with pytest.raises(DataError, match=r"broken\.png: not a readable image"):
        image_folder(tmp_path, 10, 4, (8, 8, 1))


def test_images_are_padded_in_the_middle_and_channels_repeated():
    from tfc.data.dataset import Dataset, resized

    x = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28, 1)
    dataset = Dataset("tiny", x, np.zeros(2, np.int32), x, np.zeros(2, np.int32), 2)
    found = resized(dataset, 32, 3)
    assert found.input_shape == (32, 32, 3) and found.x_test.shape == (2, 32, 32, 3)
    for channel in range(3):
        np.testing.assert_array_equal(found.x_train[:, 2:30, 2:30, channel], x[..., 0])
    assert found.x_train.sum(dtype=int) == 3 * x.sum(dtype=int)
    assert found.x_train.base.nbytes == 2 * 32 * 32, "a view of one channel, until a client copies its share"
    np.testing.assert_array_equal(resized(found, 0, 6).x_train[..., 5], found.x_train[..., 2])
    np.testing.assert_array_equal(resized(dataset, 0, 0).x_train, x)
    with pytest.raises(DataError, match="image_size = 20 is less than the images of tiny, 28x28"):
        resized(dataset, 20, 0)
    two = resized(dataset, 0, 2)
    with pytest.raises(DataError, match="channels = 3 is no multiple of the 2 channels of tiny"):
        resized(two, 0, 3)
