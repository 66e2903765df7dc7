"""The tracker of broadcasts against cases counted by hand."""

from hypothesis import given
from hypothesis import strategies as st

from tfc.federated.broadcast_tracker import BroadcastTracker, Shipment


def test_clients_that_take_part_in_every_round_get_each_rounds_payload():
    tracker = BroadcastTracker()
    for number, length in enumerate([24, 500, 300], 1):
        assert tracker.ship([0, 1], length, 0) == [Shipment(client, (number,), length) for client in (0, 1)]


def test_a_client_that_missed_broadcasts_gets_them_all_or_the_key_frame():
    tracker = BroadcastTracker()
    assert tracker.ship([0], 24, 1000) == [Shipment(0, (1,), 24)]
    assert tracker.ship([1], 400, 1000) == [Shipment(1, (1, 2), 424)]  # a seed and one difference
    assert tracker.ship([0, 2], 700, 1000) == [
        Shipment(0, (), 1000),
        Shipment(2, (), 1000),
    ]
    assert tracker.ship([0, 1], 200, 1000) == [Shipment(0, (4,), 200), Shipment(1, (3, 4), 900)]
    # Whoever got a key frame follows the differences again.
    assert tracker.ship([2], 250, 1000) == [Shipment(2, (4, 5), 450)]


def test_payloads_that_stand_alone_cost_their_length_whatever_was_missed():
    tracker = BroadcastTracker()  # FedAvg: the payload is its own key frame
    assert tracker.ship([0], 800, 800) == [Shipment(0, (1,), 800)]
    assert tracker.ship([0, 1], 800, 800) == [Shipment(0, (2,), 800), Shipment(1, (), 800)]


@given(st.lists(st.tuples(st.sets(st.integers(0, 4)), st.integers(1, 99), st.integers(0, 300)), max_size=12))
def test_shipments_bring_everyone_up_to_date_and_cost_the_least(rounds):
    tracker, holds, lengths = BroadcastTracker(), dict.fromkeys(range(5), 0), []
    for number, (clients, payload, key_frame) in enumerate(rounds, 1):
        lengths.append(payload)
        for shipment in tracker.ship(sorted(clients), payload, key_frame):
            chain = list(range(holds[shipment.client] + 1, number + 1))
            cost = sum(lengths[missed - 1] for missed in chain)
            assert shipment.length == (min(cost, key_frame) if key_frame else cost)
            assert list(shipment.rounds) in (chain, [])
            holds[shipment.client] = number


def test_a_catch_up_message_is_sent_where_it_is_the_shortest_way():
    tracker, asked = BroadcastTracker(), []

    def catch_up(since):
        asked.append(since)
        return {1: 300, 2: 0}[since]

    tracker.ship([0, 1, 2], 24, 1000)
    tracker.ship([1], 500, 1000, catch_up_bytes=catch_up)
    # Client 0 holds round 1: 500 + 400, 1000, or 300; client 1 missed nothing; client 3 holds nothing.
    assert tracker.ship([0, 1, 3], 400, 1000, catch_up_bytes=catch_up) == [
        Shipment(0, (), 300, since=1),
        Shipment(1, (3,), 400),
        Shipment(3, (1, 2, 3), 924),
    ]
    assert asked == [1]
    # Nothing is kept of round 3, and round 1's catch-up message is longer than the key frame.
    assert tracker.ship([2], 10, 200, catch_up_bytes=catch_up) == [Shipment(2, (), 200)]
    assert [tracker.ship([1], 10, 0, catch_up_bytes=lambda since: 0)[0].rounds, tracker.last_held[1]] == [(4, 5), 5]
    kinds = [Shipment(0, (), 200), Shipment(0, (), 300, since=1), Shipment(0, (), 0), Shipment(0, (3,), 9)]
    assert [shipment.is_key_frame for shipment in kinds] == [True, False, False, False]
