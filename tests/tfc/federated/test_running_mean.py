"""Float answers added up as they come: against NumPy, however clients are divided, and what does not count."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_federation import model_fn, settings

from tfc.codec import message as numpy_codec
from tfc.codec.message_spec import Message
from tfc.federated.model_spec import plain_spec
from tfc.federated.running_mean import RunningMean, build_mean_aggregator
from tfc.workers.local import local_worker

TOLD = [[10, 4, 0.5, 2], [30, 12, 0.75, 3], [7, 0, 0, 0], [500, 20, 1, 8], [3, 1, 0, 1]]


@pytest.fixture(scope="module")
def spec():
    return plain_spec(model_fn, settings())


@pytest.fixture(scope="module")
def aggregator(spec):
    return build_mean_aggregator(spec)


def answers(spec, told):
    rng = np.random.default_rng(3)
    models = [
        [rng.normal(size=shape).astype(np.float32) * 10.0 ** rng.integers(-3, 4) for shape in spec.layout.other_shapes]
        for _ in told
    ]
    scalars = np.asarray(told, np.float32)
    return models, [
        np.frombuffer(numpy_codec.encode(Message(0, (), tuple(model), each), spec.uplink), np.uint8)
        for model, each in zip(models, scalars, strict=True)
    ]


def collected(aggregator, payloads, weights):
    output = aggregator.next(aggregator.initialize(), payloads, np.asarray(weights, np.float32).tolist())
    return output, RunningMean(*tf.nest.map_structure(tf.constant, output.result.total)).mean()


def test_the_mean_is_that_of_numpy(worker, spec, aggregator):
    models, payloads = answers(spec, TOLD)
    output, mean = collected(aggregator, payloads, [1] * len(TOLD))
    told = np.asarray(TOLD, np.float64)
    for found, each in zip(mean.others, zip(*models, strict=True), strict=True):
        expected = np.average(np.stack(each).astype(np.float64), axis=0, weights=told[:, 0])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(np.stack(each)).max())
    np.testing.assert_allclose(mean.accuracy, np.average(told[:, 2], weights=told[:, 1]), rtol=1e-6)
    np.testing.assert_allclose(mean.score, np.average(told[:, 3], weights=told[:, 1]), rtol=1e-6)
    assert mean.weight == told[:, 0].sum() and mean.clients == len(TOLD)
    np.testing.assert_array_equal(output.result.lengths, [len(payload) for payload in payloads])
    assert output.measurements["uplink_bytes"] == sum(map(len, payloads))


def test_clients_that_are_divided_have_the_same_mean(worker, spec, aggregator):
    _, payloads = answers(spec, TOLD)
    _, expected = collected(aggregator, payloads, [1] * len(TOLD))
    with local_worker(max_concurrent_clients=2):
        _, found = collected(aggregator, payloads, [1] * len(TOLD))
    assert found.clients == expected.clients
    for left, right in zip(found.others, expected.others, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6 * np.abs(right).max())


@pytest.mark.parametrize("what", ["nothing", "damaged", "not arrived", "too many examples", "accuracy over one"])
def test_what_does_not_count_changes_nothing(worker, spec, aggregator, what):
    told = [
        *TOLD[:2],
        {"too many examples": [3e38, 4, 0.5, 2], "accuracy over one": [10, 4, 1.5, 2]}.get(what, TOLD[2]),
    ]
    models, payloads = answers(spec, told)
    weights = [1, 1, 0 if what == "not arrived" else 1]
    if what == "nothing":
        payloads[2] = payloads[2][:0]
    if what == "damaged":
        payloads[2] = payloads[2] ^ np.uint8(1 << 6)
    _, mean = collected(aggregator, payloads, weights)
    assert mean.clients == 2 and mean.weight == 40
    for found, first, second in zip(mean.others, *models[:2], strict=True):
        np.testing.assert_allclose(found, 0.25 * first + 0.75 * second, rtol=1e-5, atol=1e-6)
