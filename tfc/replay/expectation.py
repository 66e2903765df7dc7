"""What a recorded run must hold, by its configuration and its metrics: the list that a replay goes through.

A verifier that takes its list from the files it finds confirms a run of which half was deleted. Here the configuration
says which rounds there are and which clients took part in each, metrics.csv says how many of them answered and how many
bytes they sent, and whatever is missing, left over or of another length is named.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from tfc.base.clean_text import clean
from tfc.base.errors import RunError
from tfc.base.run_files import CONFIG, METRICS, PAYLOADS, SUMMARY
from tfc.base.schema import cell, read_csv, read_json, record, whole
from tfc.config import ExperimentConfig, load
from tfc.federated.client_sampling import sampled_clients
from tfc.replay.files import FINAL, SPEC, RoundPayloads, round_folder

_COUNTS = ("round", "uplink_bytes", "downlink_bytes", "clients_ok", "clients_failed")


@dataclass(frozen=True)
class ExpectedRound:
    """What a round's payloads must amount to.

    Attributes:
        round: Its number, from 1.
        clients: Clients that were sent the model: a function of seed and round.
        answers: How many of them answered.
        uplink_bytes: Bytes of all answers.
        downlink_bytes: Bytes of all messages to clients, without the weights that training does not move: they are sent
            once to each client, and not recorded.
    """

    round: int
    clients: tuple[int, ...]
    answers: int
    uplink_bytes: int
    downlink_bytes: int

    def differences(self, found: RoundPayloads) -> list[str]:
        """Returns how a round's payloads differ from what was expected, a phrase each.

        Args:
            found: The round's payloads.
        """
        texts = []
        for title, clients in (
            ("no message to client", set(self.clients) - set(found.down)),
            ("messages to client, which was not in this round,", set(found.down) - set(self.clients)),
            ("answers of client, which was not in this round,", set(found.up) - set(self.clients)),
        ):
            if clients:
                texts.append(f"{title} {', '.join(map(str, sorted(clients)))}")
        down = sum(len(message) for messages in found.down.values() for message in messages)
        for name, expected, actual in (
            ("answers", self.answers, len(found.up)),
            ("bytes up", self.uplink_bytes, sum(map(len, found.up.values()))),
            ("bytes down", self.downlink_bytes, down),
        ):
            if expected != actual:
                texts.append(f"{actual} {name}, but {expected} in {METRICS}")
        return texts


def expected_rounds(run: Path) -> list[ExpectedRound]:
    """Returns what every round of a finished run must hold.

    Args:
        run: The run's folder.

    Raises:
        RunError: If the run's configuration or metrics.csv can't be read, or contradict each other.
        ConfigError: If the configuration is not one of this version.
    """
    for name in (CONFIG, METRICS):
        if not (run / name).exists():
            raise RunError(f"{run}: {name} is missing: a replay takes the list of rounds and clients from it")
    config = load(run / CONFIG)
    rows = _rows(run / METRICS)
    if [row["round"] for row in rows] != list(range(1, config.rounds + 1)):
        raise RunError(
            f"{run / METRICS}: its rounds are {_listed([row['round'] for row in rows])}; {CONFIG} has rounds 1 to "
            f"{config.rounds}: the run is not finished, or rows are missing"
        )
    return _without_start_bytes([_expected(run, config, row) for row in rows], _start_bytes(run))


def _start_bytes(run: Path) -> int:
    if not (run / SUMMARY).exists():
        return 0
    check = record({}, {"start_bytes": whole()}, rest=lambda value, place: value)
    return int(read_json(run / SUMMARY, check, RunError, "a run's summary").get("start_bytes", 0))


def _without_start_bytes(rounds: list[ExpectedRound], start_bytes: int) -> list[ExpectedRound]:
    """Takes what each client gets once, in its first round, out of the bytes down."""
    seen: set[int] = set()
    per_client = start_bytes // max(1, len({client for row in rounds for client in row.clients}))
    found = []
    for row in rounds:
        new = len(set(row.clients) - seen)
        seen.update(row.clients)
        found.append(dataclasses.replace(row, downlink_bytes=row.downlink_bytes - new * per_client))
    return found


def _expected(run: Path, config: ExperimentConfig, row: dict[str, int]) -> ExpectedRound:
    clients = tuple(sampled_clients(config, row["round"]))
    if row["clients_ok"] + row["clients_failed"] != len(clients):
        raise RunError(
            f"{run / METRICS}: round {row['round']} has {row['clients_ok'] + row['clients_failed']} clients; {CONFIG} "
            f"has {len(clients)} in a round"
        )
    return ExpectedRound(row["round"], clients, row["clients_ok"], row["uplink_bytes"], row["downlink_bytes"])


def _rows(path: Path) -> list[dict[str, int]]:
    header, *rows = read_csv(path, RunError, "a run's rows of rounds")
    missing = [name for name in _COUNTS if name not in header]
    if missing:
        raise RunError(f"{path}: lacks {', '.join(missing)}")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            found.append({name: whole()(cell(int, row[header.index(name)]), name) for name in _COUNTS})
        except ValueError as error:
            raise RunError(f"{path}: row {number}: {error}") from error
    return found


def require_complete(run: Path, rounds: int) -> None:
    """Refuses a folder of payloads with other entries than the run's rounds.

    Args:
        run: The run's folder.
        rounds: How many it has.

    Raises:
        RunError: Names what is missing, and what does not belong there.
    """
    folder = run / PAYLOADS
    wanted = {round_folder(number) for number in range(1, rounds + 1)}
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if not there & wanted:
        raise RunError(f"{run}: no recorded payloads; make them with: tfc run ... --record-payloads")
    for title, names in (
        ("rounds are missing", wanted - there),
        ("not of this run", there - wanted - {SPEC, FINAL}),
    ):
        if names:
            raise RunError(f"{folder}: {title}: {_listed(sorted(names))}")


def _listed(items: list[object] | list[str] | list[int]) -> str:
    shown = ", ".join(clean(item, 60) for item in items[:10])
    return f"{shown} and {len(items) - 10} more" if len(items) > 10 else shown or "none"
