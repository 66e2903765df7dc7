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
