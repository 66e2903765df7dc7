"""Simulated time: pure functions, numbers worked out by hand."""

import numpy as np
import pytest

from tfc.config import NetworkConfig
from tfc.federated.client_data import NO_LIMIT
from tfc.simulation.network import Trip, client_seconds, client_speed, most_uplink_bytes, round_seconds

LINKS = NetworkConfig(uplink_mbps=1.0, downlink_mbps=8.0, examples_per_second=50.0, speed_spread=0.5)


def test_download_training_and_upload_add_up():
    # 2 MB down at 1 MB/s, 100 examples at 50 per second, 0.5 MB up at 0.125 MB/s.
    assert client_seconds(LINKS, 50.0, 2_000_000, 100, 500_000) == pytest.approx(2 + 2 + 4)
    assert client_seconds(LINKS, 50.0, 0, 0, 0) == 0


def test_an_answer_is_in_time_up_to_the_last_byte():
    most = most_uplink_bytes(LINKS, 50.0, 2_000_000, 100, 8.0)
    assert most == 500_000
    assert (
        client_seconds(LINKS, 50.0, 2_000_000, 100, most) <= 8 < client_seconds(LINKS, 50.0, 2_000_000, 100, most + 1)
    )
    assert most_uplink_bytes(LINKS, 50.0, 2_000_000, 100, 3.9) == -1
    assert most_uplink_bytes(LINKS, 50.0, 2_000_000, 100, 0) == NO_LIMIT
    assert most_uplink_bytes(LINKS, 50.0, 0, 0, 1e9) == NO_LIMIT


def test_speeds_are_log_normal_around_the_median_and_a_clients_own():
    speeds = np.array([client_speed(LINKS, 3, client) for client in range(2000)])
    assert client_speed(LINKS, 3, 7) == speeds[7] != client_speed(LINKS, 4, 7)
    assert np.median(speeds) == pytest.approx(50, rel=0.05)
    assert np.std(np.log(speeds)) == pytest.approx(0.5, rel=0.05)
    assert client_speed(NetworkConfig(speed_spread=0.0), 3, 7) == 200


def test_the_slowest_that_is_waited_for_decides():
    answered, vanished = Trip(5.0, True), Trip(9.0, False)
    assert round_seconds([answered, Trip(3.0, True)], 0) == 5
    assert round_seconds([answered, vanished], 0) == 5
    assert round_seconds([answered, vanished], 20.0) == 20
    assert round_seconds([answered], 20.0) == 5
    assert round_seconds([vanished], 0) == 0
