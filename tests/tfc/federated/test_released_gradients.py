"""Traced graphs do not outlive their process: a sweep's memory would grow by each of its runs."""

import gc

import pytest
import tensorflow as tf
from tiny_federation import DATA_TYPE, OOD, model_fn, settings

from tfc.federated.client_work import build_client_update
from tfc.federated.model_spec import clustered_spec
from tfc.federated.released_gradients import released_gradients
from tfc.methods.fedcompress import build_fedcompress


def graphs():
    """Graphs with operations that are alive; Keras keeps an empty one or two of its own."""
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, tf.Graph)]
    return sum(len(each.get_operations()) > 0 for each in found)


def test_a_clustering_clients_graphs_are_let_go():
    spec = clustered_spec(model_fn, settings())
    before = graphs()
    build_client_update(spec, DATA_TYPE, settings().training, "broadcast", 0)
    assert graphs() == before


@pytest.mark.slow
def test_a_whole_process_leaves_nothing_behind():
    build_fedcompress(model_fn, DATA_TYPE, settings(), OOD)
    before = graphs()
    build_fedcompress(model_fn, DATA_TYPE, settings(), OOD)
    assert graphs() == before


def test_gradients_that_were_registered_before_stay():
    @tf.custom_gradient
    def doubled(x):
        return 2.0 * x, lambda gradient: 3.0 * gradient

    with tf.Graph().as_default() as graph:
        x = tf.constant(1.0)
        y = doubled(x)
    with released_gradients(), tf.Graph().as_default():
        doubled(tf.constant(1.0))
    with graph.as_default(), tf.compat.v1.Session() as session:
        assert session.run(tf.gradients(y, x)[0]) == 3.0
