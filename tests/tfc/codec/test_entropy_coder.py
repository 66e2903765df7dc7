"""rANS and its frequency tables: any stream comes back, tables add up and are nearly as good as the data's own."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfc.codec import contexts, rans, tables
from tfc.graph_codec import contexts as graph_contexts
from tfc.graph_codec import rans as graph_rans
from tfc.graph_codec import tables as graph_tables


def random_counts(rng, num_contexts, largest_step):
    """Histograms of steps, zero most often, with and without a preferred sign, some empty, some of zeros alone."""
    counts = np.zeros((num_contexts, 2 * largest_step + 2), np.int64)
    for row in counts:
        scale, shift = rng.choice([0.0, 0.3, 1.0, 8.0]), rng.choice([-0.3, 0.0, 0.3])
        steps = np.rint(rng.normal(shift * scale, scale, rng.integers(0, 400))).astype(int)
        symbols = np.where(steps > 0, 2 * steps - 1, -2 * steps)
        row += np.bincount(np.minimum(symbols, len(row) - 1), minlength=len(row))
    return counts


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 400), st.integers(1, 5), st.sampled_from([1, 4, 32]), st.integers(0, 3))
def test_rans_restores_any_stream(seed, count, num_contexts, lanes, more):
    rng = np.random.default_rng(seed)
    chosen, _ = tables.choose_tables(tables.step_counts(random_counts(rng, num_contexts, 31)), 31)
    frequencies = tables.frequencies_of(chosen, 31)
    rows = rng.integers(0, num_contexts, count)
    symbols = np.array([rng.choice(np.flatnonzero(frequencies[row])) for row in rows])
    states, words = rans.encode(symbols, rows, frequencies, lanes)
    longer = np.concatenate([words, rng.integers(0, 1 << 16, more).astype(np.uint16)])
    found, used, sound = rans.decode(states, longer, rows, frequencies)
    np.testing.assert_array_equal(found, symbols)
    assert sound and used == len(words)
    arguments = (tf.constant(rows), tf.constant(frequencies), count, lanes)
    graph_states, graph_words = graph_rans.encode(tf.constant(symbols), *arguments)
    np.testing.assert_array_equal(graph_states, states)
    np.testing.assert_array_equal(graph_words, words)
    words_tensor = tf.constant(longer.astype(np.int64))
    graph_found, graph_used, graph_sound = graph_rans.decode(graph_states, words_tensor, *arguments)
    np.testing.assert_array_equal(graph_found, symbols)
    assert bool(graph_sound) and int(graph_used) == len(words)
    _, used, short = rans.decode(states, words[:-1], rows, frequencies)
    assert not short or not len(words)


@pytest.mark.parametrize("largest_step", [31, 128])
def test_tables_add_up_give_room_to_what_occurs_and_are_close_to_the_data(largest_step):
    counts = random_counts(np.random.default_rng(3), 60, largest_step)
    chosen, cost = tables.choose_tables(tables.step_counts(counts), largest_step)
    in_graph, graph_cost = graph_tables.choose_tables(graph_tables.step_counts(tf.constant(counts)), largest_step)
    np.testing.assert_array_equal(in_graph, chosen)
    np.testing.assert_array_equal(graph_cost, cost)
    frequencies = tables.frequencies_of(chosen, largest_step)
    np.testing.assert_array_equal(graph_tables.frequencies_of(tf.constant(chosen), largest_step), frequencies)
    np.testing.assert_array_equal(frequencies.sum(axis=1), 4096)
    assert chosen.min() >= 0 and chosen.max() < 1 << 16
    occurs = counts.sum(axis=1) > 0
    only_zero = counts[:, 1:].sum(axis=1) == 0
    assert (frequencies[only_zero, 0] == 4096).all() and (frequencies[~only_zero, -1] == 1).all()
    # Ideal length with the table against the data's own entropy; what has no room is escaped, 12 + 16 bits.
    for row, table in zip(counts[occurs & ~only_zero], frequencies[occurs & ~only_zero], strict=True):
        bits = np.where(table > 0, -np.log2(np.maximum(table, 1) / 4096), 28)
        bits[-1] = 28
        shares = row[row > 0] / row.sum()
        assert (row * bits).sum() < 1.06 * -(row.sum() * shares * np.log2(shares)).sum() + 40


def test_any_two_bytes_are_a_table():
    chosen = np.arange(1 << 16)
    frequencies = tables.frequencies_of(chosen, 31)
    assert (frequencies >= 0).all() and (frequencies.sum(axis=1) == 4096).all() and (frequencies[:, 0] > 0).all()


def test_kernels_share_tables_only_where_that_is_smaller():
    rng = np.random.default_rng(0)
    counts = np.zeros((4, 6, 3, 64), np.int64)
    counts[0, :, :, :3] = [90, 5, 5]  # nothing to tell apart
    counts[1, :, 0, :3], counts[1, :, 1, :3], counts[1, :, 2, :3] = [900, 50, 50], [500, 0, 500], [500, 500, 0]
    counts[2, :, :, 0], counts[2, :, :, 1] = 1000, (rng.random(6) * 3000).astype(int)[:, None]
    counts[3, :, :, 0], counts[3, :, :, 2] = 9000, (rng.random((6, 3)) * 30000).astype(int)
    summed = tables.step_counts(counts)
    groupings, sent = contexts.choose_groupings(summed, 6, 31, only_all=False)
    np.testing.assert_array_equal(groupings, list(contexts.Grouping))
    assert len(sent) == 1 + 3 + 6 + 18
    places = contexts.table_places(groupings, 6, 6)
    assert [len(np.unique(part)) for part in places] == [1, 3, 6, 18]
    in_graph = graph_tables.step_counts(tf.constant(counts))
    found, graph_sent = graph_contexts.choose_groupings(in_graph, tf.constant(6), 31, tf.constant(False))
    np.testing.assert_array_equal(found, groupings)
    np.testing.assert_array_equal(graph_sent, sent)
    np.testing.assert_array_equal(graph_contexts.table_places(found, 6, tf.constant(6)), places)
    groupings, sent = contexts.choose_groupings(summed, 1, 31, only_all=True)
    assert not groupings.any() and len(sent) == 4
