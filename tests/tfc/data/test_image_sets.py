"""CIFAR and PathMNIST from files in their published formats, and what is refused."""

import pickle

import numpy as np
import pytest
from data_files import pathmnist_arrays, write_cifar10, write_cifar100

from tfc.base.errors import DataError
from tfc.data.cifar import cifar10, cifar100, read_batch
from tfc.data.images import pathmnist


def test_cifar10_joins_its_batches_and_puts_colours_last(tmp_path):
    folder = write_cifar10(tmp_path)
    dataset = cifar10(folder)
    assert dataset.x_train.shape == (200, 32, 32, 3) and dataset.x_test.shape == (40, 32, 32, 3)
    assert dataset.num_classes == 10 and dataset.x_train.dtype == np.uint8 and dataset.class_names[9] == "truck"
    second = pickle.loads((folder / "data_batch_2").read_bytes(), encoding="bytes")
    for channel in range(3):
        plane = second[b"data"][5, 1024 * channel : 1024 * (channel + 1)].reshape(32, 32)
        np.testing.assert_array_equal(dataset.x_train[45, :, :, channel], plane)
    assert dataset.y_train[45] == second[b"labels"][5]
    np.testing.assert_array_equal(cifar10(tmp_path).x_train, dataset.x_train)


def test_cifar100_has_fine_classes(tmp_path):
    dataset = cifar100(write_cifar100(tmp_path))
    assert dataset.num_classes == 100 and sorted(set(dataset.y_train)) == list(range(100))
    assert dataset.class_names == ()
    names = [f"thing {number}".encode() for number in range(100)]
    meta = tmp_path / "cifar-100-python" / "meta"
    meta.write_bytes(pickle.dumps({b"fine_label_names": names}, 2))
    assert cifar100(tmp_path).class_names[99] == "thing 99"
    meta.write_bytes(pickle.dumps({b"fine_label_names": names[:50]}, 2))
    with pytest.raises(DataError, match="meta: its entry 'fine_label_names' must list 100 names"):
        cifar100(tmp_path)


def test_the_keras_cache_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"CIFAR-10: data_batch_1 not found in .*\.keras.*data\.data_dir=FOLDER"):
        cifar10()
    write_cifar10(tmp_path / ".keras" / "datasets")
    assert len(cifar10().x_test) == 40


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_a_pickle_that_asks_for_code_is_refused_and_runs_nothing(tmp_path):
    path, mark = tmp_path / "batch", tmp_path / "mark"
    path.write_bytes(pickle.dumps({b"data": Hostile(mark)}, protocol=2))
    with pytest.raises(DataError, match=r"batch: not a readable batch of CIFAR: it asks for \w+\.open"):
        read_batch(path, b"labels")
    assert not mark.exists()


ROWS = np.zeros((3, 3072), np.uint8)


@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "not a readable batch"),
        (pickle.dumps({b"data": ROWS, b"labels": [0, 1, 2]}, 2)[:-2000], "not a readable batch"),
        (pickle.dumps([1, 2], 2), "'data' must be uint8"),
        (pickle.dumps({b"data": ROWS[:, :5], b"labels": [0, 1, 2]}, 2), "'data' must be uint8 of shape"),
        (pickle.dumps({b"data": ROWS, b"labels": [0, 1]}, 2), "'labels' must list one whole number for each image"),
        (pickle.dumps({b"data": ROWS, b"labels": [0, 1, "2"]}, 2), "'labels' must list one whole number"),
    ],
)
def test_damaged_batches_are_refused(tmp_path, content, message):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_batch(tmp_path / "batch", b"labels")


def test_incomplete_cifar_and_classes_out_of_range_are_refused(tmp_path):
    folder = write_cifar10(tmp_path)
    (folder / "data_batch_4").unlink()
    with pytest.raises(DataError, match="data_batch_4 missing; cifar10 is at https"):
        cifar10(folder)
    (folder / "data_batch_4").write_bytes(pickle.dumps({b"data": ROWS, b"labels": [0, 10, 1]}, 2))
    with pytest.raises(DataError, match="class 10 found, but there are 10 classes"):
        cifar10(folder)


def test_pathmnist_takes_the_file_or_its_folder(tmp_path):
    arrays = pathmnist_arrays()
    np.savez(tmp_path / "pathmnist.npz", **arrays)
    dataset = pathmnist(tmp_path)
    np.testing.assert_array_equal(dataset.x_train, arrays["train_images"])
    np.testing.assert_array_equal(dataset.y_test, arrays["test_labels"][:, 0])
    assert dataset.num_classes == len(dataset.class_names) == 9
    np.testing.assert_array_equal(pathmnist(tmp_path / "pathmnist.npz").x_test, dataset.x_test)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"val_labels": None}, "lacks val_labels"),
        ({"train_labels": np.full((45, 1), 9, np.uint8)}, "class 9 found, but there are 9 classes"),
        ({"train_images": np.zeros((45, 28, 28), np.uint8)}, "train_images must have shape"),
        ({"test_labels": np.zeros((44, 1), np.uint8)}, "x_test has 45 examples and y_test 44"),
    ],
)
def test_unfit_pathmnist_files_are_refused(tmp_path, change, message):
    arrays = {key: value for key, value in {**pathmnist_arrays(), **change}.items() if value is not None}
    np.savez(tmp_path / "pathmnist.npz", **arrays)
    with pytest.raises(DataError, match=message):
        pathmnist(tmp_path)


def test_missing_and_truncated_pathmnist(tmp_path):
    with pytest.raises(DataError, match=r"pathmnist\.npz not found: get pathmnist\.npz .* from https://medmnist\.com"):
        pathmnist(tmp_path)
    np.savez(tmp_path / "whole.npz", **pathmnist_arrays())
    (tmp_path / "pathmnist.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:9000])
    with pytest.raises(DataError, match="not a readable NPZ file"):
        pathmnist(tmp_path)
