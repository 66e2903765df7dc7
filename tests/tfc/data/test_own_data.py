"""Own data: class names, splits, client splits, what is said in the log, settings that do not fit."""

import collections
import logging

import numpy as np
import pytest
from own_data import BASE, CLIENTS, NAMES, UT, XT, YT, U, X, Y, both, labels

import tfc
from tfc.base.errors import DataError
from tfc.config import DataConfig, load
from tfc.data.partition import Clients
from tfc.registries import PARTITIONS


def test_a_data_set_passes_through_and_names_are_taken():
    found = tfc.as_dataset(BASE, name="shapes", class_names=["a", "b", "c", "d", "unseen"])
    assert (found.name, found.num_classes, found.class_names[4]) == ("shapes", 5, "unseen")
    assert tfc.as_dataset(found) is found
    with pytest.raises(DataError, match="class 3 found, but there are 2 classes, counted from 0"):
        tfc.as_dataset(BASE, class_names=["a", "b"])


def test_names_give_text_labels_their_order():
    texts = labels(lambda y: NAMES[y])
    found = tfc.as_dataset(texts, class_names=NAMES[::-1])
    np.testing.assert_array_equal(found.y_train, 3 - Y)
    assert found.class_names == tuple(NAMES[::-1])


@pytest.mark.parametrize(
    "data,said",
    [
        (both(lambda x: np.rint(255 * x)), "x_train has values up to 25. and is not divided: uint8 data would be"),
        (labels(lambda y: 2 * y), "labels up to 6 make 7 classes, of which 3 have no example: 1, 3, 5"),
        (BASE, ""),
        (both(lambda x: np.rint(255 * x).reshape(len(x), 64)), ""),
    ],
)
def test_what_is_likely_a_mistake_is_said(data, said, caplog):
    with caplog.at_level(logging.WARNING):
        tfc.as_dataset(data)
    (message,) = [record.getMessage() for record in caplog.records] or [""]
    assert bool(message) == bool(said)
    caplog.clear()
    if said:
        import re

        assert re.search(said, message)


def test_the_part_split_off_is_the_same_share_of_each_class_and_of_no_seed():
    first, again = (tfc.as_dataset((U, NAMES[Y]), config=DataConfig(test_fraction=0.5)) for _ in range(2))
    np.testing.assert_array_equal(np.bincount(first.y_test), [3, 3, 3, 3])
    np.testing.assert_array_equal(first.x_test, again.x_test)
    rows = np.concatenate([first.x_train, first.x_test]).reshape(24, -1)
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in U.reshape(24, -1)}


@pytest.mark.parametrize("owned", [{"owners": [f"user {y}" for y in Y]}, {"owners": Y * 100}, {"clients": CLIENTS}])
def test_clients_keep_their_own_examples(owned):
    found = tfc.as_dataset((U, Y, UT, YT), **owned)
    wanted = CLIENTS if "clients" in owned else [np.flatnonzero(label == Y) for label in range(4)]
    settings = DataConfig(partition="owner", num_clients=len(wanted), min_examples=1)
    parts = PARTITIONS["owner"](found.y_train, found.owners, settings, 3)
    clients = Clients(found.x_train, found.y_train, parts, 0.0, 3)
    held = [{image.tobytes() for image in client.x_train} for client in clients]
    for rows in wanted:
        assert {image.tobytes() for image in U[rows]} in held
    ready = tfc.as_dataset(tfc.as_dataset((U, Y, UT, YT)), **owned)
    np.testing.assert_array_equal(ready.owners, found.owners)


@pytest.mark.parametrize(
    "owned,message",
    [
        ({"owners": Y[:5]}, r"owners has shape \(5,\); one for each of the 24 training examples is needed"),
        ({"owners": X[:, 0, 0, 0]}, "owners must be integers or texts, found float32"),
        ({"clients": []}, "clients is empty"),
        ({"clients": [[0], []]}, r"clients\[1\] is empty"),
        ({"clients": [[0], [24]]}, r"clients\[1\] holds example 24; there are 0 to 23"),
        ({"clients": [[-1]]}, r"clients\[0\] holds example -1"),
        ({"clients": [[3, 4], [5, 4]]}, r"example 4 is at two clients, clients\[0\] and clients\[1\]"),
        ({"clients": [[3, 3]]}, r"clients\[0\] holds example 3 twice"),
        ({"clients": [[0.5]]}, r"clients\[0\] must be integers"),
        ({"clients": [[0]], "owners": Y}, "owners and clients both say who holds which example"),
    ],
)
def test_unfit_client_splits_are_refused(owned, message):
    with pytest.raises(DataError, match=message):
        tfc.as_dataset(BASE, **owned)


def test_owners_follow_their_examples_into_the_training_part():
    found = tfc.as_dataset((U, Y), owners=np.arange(24), config=DataConfig(test_fraction=0.25))
    np.testing.assert_array_equal(found.x_train, U[found.owners])


def test_real_clients_of_tff():
    tff = pytest.importorskip("tensorflow_federated")
    data = tff.simulation.datasets.TestClientData(
        {"a": collections.OrderedDict(x=X[:5], y=Y[:5]), "b": collections.OrderedDict(x=X[5:], y=Y[5:])}
    )
    found = tfc.as_dataset((data, (XT, YT)))
    np.testing.assert_array_equal(found.owners, [0] * 5 + [1] * 19)
    np.testing.assert_array_equal(found.x_train, X)


@pytest.mark.parametrize(
    "settings,message",
    [
        (["data.kind=table"], "data.kind = 'table' is for data.dataset = npz, not mnist5k"),
        (["data.test_fraction=0.5"], "data.test_fraction = 0.5 is for data.dataset = npz or images, not mnist5k"),
    ],
)
def test_settings_of_own_data_are_refused_for_other_sets(settings, message):
    with pytest.raises(DataError, match=message):
        tfc.load_dataset(load("demo", settings))


def test_settings_of_images_are_refused_for_other_inputs():
    table = both(lambda x: x.reshape(len(x), 64))
    for setting, message in (
        ("training.augmentation=flip-crop-cutout", "is for images; data holds inputs of kind table"),
        ("data.image_size=9", "data.image_size is for images; data holds inputs of kind table"),
        ("data.channels=3", "data.channels is for images"),
    ):
        with pytest.raises(DataError, match=message):
            tfc.load_dataset(load("demo", [setting]), table)
    assert tfc.load_dataset(load("demo", ["data.image_size=12", "data.channels=3"]), BASE).input_shape == (12, 12, 3)
