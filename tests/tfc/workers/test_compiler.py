"""The compiler between TFF and its workers: the same results from smaller graphs."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tfc.workers.compiler import compiled


@pytest.fixture(scope="module")
def mean_of_sines():
    """Values at clients -> their mean sine."""

    @tff.tensorflow.computation(tff.TensorType(np.float32, (None,)))
    def sine(x):
        # Twice the same, in a function: inlined, they are one.
        return tf.function(lambda x: tf.sin(x) + tf.sin(x))(x)[0] / 2.0

    @tff.federated_computation(tff.FederatedType(tff.TensorType(np.float32, (None,)), tff.CLIENTS))
    def mean(values):
        return tff.federated_mean(tff.federated_map(sine, values))

    return mean


def test_a_compiled_computation_has_its_type_and_its_result(worker, mean_of_sines):
    assert compiled(mean_of_sines).type_signature == mean_of_sines.type_signature
    clients = [np.asarray([x], np.float32) for x in (0.3, 1.2, -2.0)]
    np.testing.assert_allclose(mean_of_sines(clients), np.mean(np.sin([0.3, 1.2, -2.0])), rtol=1e-5)


def test_functions_are_inlined_and_equal_operations_merged(mean_of_sines):
    before, after = (
        tff.framework.serialize_computation(computation).SerializeToString().count(b"Sin")
        for computation in (mean_of_sines, compiled(mean_of_sines))
    )
    assert after < before
