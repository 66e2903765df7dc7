"""The broadcast tracker: which client has which broadcast, and the cheapest way to bring it up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shipment:
    """What a client is sent in a round.

    Attributes:
        client: Its number.
        rounds: Rounds whose payloads it gets, each given the one before; empty where it gets one message instead.
        length: Bytes in all.
        since: Round whose broadcast it holds and is brought up to date from by a catch-up message; 0 where it gets
            payloads or the key frame.

    Examples:
        >>> import tfc
        >>> tfc.BroadcastTracker().ship([7], payload_bytes=100, key_frame_bytes=0)
        [Shipment(client=7, rounds=(1,), length=100, since=0)]
    """

    client: int
    rounds: tuple[int, ...]
    length: int
    since: int = 0

    @property
    def is_key_frame(self) -> bool:
        """Whether it is the round's key frame."""
        return not self.rounds and not self.since and self.length > 0


@dataclass
class BroadcastTracker:
    """Chooses for each client of a round what brings it up to date at the lowest cost.

    A client that missed broadcasts needs all of them, each given the one before, or this round's key frame, or a
    catch-up message that is coded given the broadcast it holds: whichever is shortest. All end in the same model, bit
    for bit.

    Attributes:
        payload_bytes: Length of each round's payload, the first round's first.
        last_held: Number of the last round whose broadcast a client holds; clients that hold none are missing.
        start_bytes: What a client gets besides the first time, such as frozen weights as float32.

    Examples:
        >>> import tfc
        >>> tracker = tfc.BroadcastTracker()
        >>> [shipment.length for shipment in tracker.ship([0, 1], payload_bytes=100, key_frame_bytes=0)]
        [100, 100]
        >>> [shipment.length for shipment in tracker.ship([0], payload_bytes=50, key_frame_bytes=0)]
        [50]
        >>> tracker.ship([1], payload_bytes=40, key_frame_bytes=70)[0].length  # it missed a round: 50 + 40, or 70
        70
    """

    payload_bytes: list[int] = field(default_factory=list)
    last_held: dict[int, int] = field(default_factory=dict)
    start_bytes: int = 0

    def ship(
        self,
        clients: Iterable[int],
        payload_bytes: int,
        key_frame_bytes: int,
        *,
        again: bool = False,
        catch_up_bytes: Callable[[int], int] = lambda since: 0,
    ) -> list[Shipment]:
        """Records a round's broadcast.

        Args:
            clients: Clients of the round.
            payload_bytes: Length of its payload, which is given the round before.
            key_frame_bytes: Length of its key frame; 0 where there is none.
            again: Whether this is another attempt of the same round: who has the broadcast gets nothing.
            catch_up_bytes: (round) -> length of the catch-up message for a client that holds that round's broadcast; 0
                where there is none.

        Returns:
            One shipment per client.
        """
        if not again:
            self.payload_bytes.append(payload_bytes)
        present = len(self.payload_bytes)
        shipments = []
        for client in clients:
            missed = tuple(range(self.last_held.get(client, 0) + 1, present + 1))
            chain = sum(self.payload_bytes[number - 1] for number in missed)
            start = 0 if client in self.last_held else self.start_bytes
            since = self.last_held.get(client, 0) if len(missed) > 1 else 0
            ways = [Shipment(client, missed, chain + start)]
            if key_frame_bytes:
                ways.append(Shipment(client, (), key_frame_bytes + start))
            if since and (catch_up := catch_up_bytes(since)):
                ways.append(Shipment(client, (), catch_up + start, since))
            shipments.append(min(ways, key=lambda way: way.length))
            self.last_held[client] = present
        return shipments
