"""Partitions whose clients differ: nothing twice, the right sizes, a function of the seed, skew as asked."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.base.errors import DataError
from tfc.config import DataConfig
from tfc.data.partition import Clients
from tfc.registries import PARTITIONS

LABELS = np.arange(1200) % 6
OWNERS = np.repeat(np.arange(60), 20)


def divide(seed=0, labels=LABELS, owners=OWNERS, **data):
    return PARTITIONS[data["partition"]](labels, owners, DataConfig(**data), seed)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(PARTITIONS)),
    st.integers(1, 12),
    st.sampled_from([0, 40, 70]),
    st.sampled_from([0.3, 1.0, 30.0]),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_partitions_are_disjoint_of_the_right_sizes_and_repeatable(name, clients, each, spread, least, seed):
    data = {"partition": name, "num_clients": clients, "examples_per_client": each, "min_examples": least}
    data |= {"alpha": spread, "quantity_sigma": min(spread, 2.0)}
    parts = divide(seed, **data)
    assert len(parts) == clients and min(map(len, parts)) >= least
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together) and together.min() >= 0 and together.max() < len(LABELS)
    if name == "owner":
        assert all(len(part) <= (each or len(LABELS)) for part in parts)
    if name in ("dirichlet", "dirichlet-balanced", "quantity") or (name == "owner" and not each):
        assert len(together) == (clients * each or len(LABELS))
    for part, again in zip(parts, divide(seed, **data), strict=True):
        np.testing.assert_array_equal(part, again)
    if clients > 1:
        assert any(set(part) != set(other) for part, other in zip(parts, divide(seed + 1, **data), strict=True))


def counts_of(parts):
    return np.stack([np.bincount(LABELS[part], minlength=6) for part in parts])


def test_a_small_alpha_gives_clients_few_classes_and_a_large_one_all():
    few, many = (counts_of(divide(partition="dirichlet", num_clients=10, alpha=alpha)) for alpha in (0.1, 1000.0))
    assert (few > 0.05 * few.sum(axis=1, keepdims=True)).sum(axis=1).mean() < 3.5
    np.testing.assert_allclose(many, 20, atol=5)
    np.testing.assert_array_equal(few.sum(axis=0), [200] * 6)


def test_dirichlet_gives_up_with_advice():
    with pytest.raises(DataError, match=r"data\.alpha=0\.01 a client always had fewer .* Any of these works: "):
        divide(partition="dirichlet", num_clients=50, alpha=0.01, min_examples=20)


def test_no_owner_is_at_two_clients_and_clients_are_alike_in_size():
    parts = divide(partition="owner", num_clients=7)
    holders = [set(OWNERS[part]) for part in parts]
    assert sum(map(len, holders)) == 60 and set.union(*holders) == set(range(60))
    assert max(map(len, parts)) - min(map(len, parts)) <= 20


def test_owners_of_very_different_sizes_leave_no_client_without():
    owners = np.array([0] * 50 + [1, 2, 3])
    parts = divide(owners=owners, labels=owners, partition="owner", num_clients=4, min_examples=1)
    assert sorted(map(len, parts)) == [1, 1, 1, 50]


@pytest.mark.parametrize(
    "owners,data,message",
    [
        (None, {}, "needs a data set that knows who made each example"),
        (OWNERS, {"num_clients": 61}, "data.num_clients=61 clients need as many owners .* has 60"),
        (OWNERS, {"num_clients": 30, "min_examples": 41}, "smallest of 30 clients has 40 examples, fewer than"),
    ],
)
def test_unfit_owners_are_refused(owners, data, message):
    with pytest.raises(DataError, match=message):
        divide(owners=owners, partition="owner", **data)


def test_sizes_spread_with_sigma():
    def sizes(sigma):
        return np.array([len(part) for part in divide(partition="quantity", num_clients=10, quantity_sigma=sigma)])

    np.testing.assert_array_equal(sizes(0.0), [120] * 10)
    assert sizes(0.5).std() < sizes(2.0).std() and sizes(5.0).min() >= 10


@pytest.mark.parametrize("name", ["dirichlet", "quantity"])
def test_more_than_there_is_is_refused(name):
    with pytest.raises(DataError, match=r"data\.num_clients=13 clients with 100 examples each need 1300 .* has 1200"):
        divide(partition=name, num_clients=13, examples_per_client=100)
    with pytest.raises(DataError, match=r"data\.examples_per_client=5 is less than data\.min_examples=10"):
        divide(partition=name, num_clients=3, examples_per_client=5)


def test_class_counts_hold_training_and_validation():
    y = np.array([0, 2, 2, 1, 0, 1, 2])
    clients = Clients(np.zeros((7, 1)), y, [np.arange(4), np.arange(4, 7)], 0.25, seed=0)
    np.testing.assert_array_equal(clients.class_counts(4), [[1, 1, 2, 0], [1, 1, 1, 0]])


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_a_balanced_dirichlet_serves_a_hundred_clients(alpha):
    labels = np.arange(60_000) % 10
    started = time.process_time()
    parts = divide(labels=labels, partition="dirichlet-balanced", num_clients=100, alpha=alpha)
    assert time.process_time() - started < 1
    sizes = np.array([len(part) for part in parts])
    assert sizes.sum() == len(labels) and sizes.min() >= 10
    counts = np.stack([np.bincount(labels[part], minlength=10) for part in parts])
    classes_held = (counts > 0.05 * counts.sum(axis=1, keepdims=True)).sum(axis=1).mean()
    assert classes_held < (4 if alpha == 0.1 else 7)
    # Nobody who held the mean before the last class got any of it.
    assert not counts[counts[:, :9].sum(axis=1) >= 600, 9].any()


REMEDIES = [
    {"partition": "dirichlet", "num_clients": 50, "alpha": 0.01, "min_examples": 20},
    {"partition": "dirichlet", "num_clients": 20, "alpha": 0.2, "min_examples": 20},
    {"partition": "dirichlet", "num_clients": 24, "alpha": 0.5, "min_examples": 15, "examples_per_client": 20},
    {"partition": "dirichlet-balanced", "num_clients": 100, "alpha": 0.1, "min_examples": 10},
    {"partition": "quantity", "num_clients": 130, "min_examples": 10},
    {"partition": "iid", "num_clients": 13, "examples_per_client": 100},
    {"partition": "iid", "num_clients": 2000},
    {"partition": "dirichlet", "num_clients": 13, "examples_per_client": 100},
    {"partition": "owner", "num_clients": 61},
    {"partition": "owner", "num_clients": 30, "min_examples": 41},
    {"partition": "owner", "num_clients": 30, "examples_per_client": 5},
]


@pytest.mark.parametrize("data", REMEDIES, ids=lambda data: f"{data['partition']}-{data['num_clients']}")
def test_every_setting_that_an_error_advises_works(data):
    with pytest.raises(DataError) as raised:
        divide(**data)
    text = str(raised.value)
    advice = re.findall(r"data\.(\w+)=([\w.-]*\w)", re.split("works: |at most |: set ", text, maxsplit=1)[1])
    assert advice and "\n" not in text, text
    for key, value in advice:
        changed = value if key == "partition" else float(value) if key == "alpha" else int(value)
        assert len(divide(**{**data, key: changed})) > 0, (text, key)
