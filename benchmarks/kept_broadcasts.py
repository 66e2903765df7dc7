r"""What old broadcasts at the server save: bytes down by cause, with and without catch-up messages.

    tfc run fashion-resnet8-many --set training.plain_epochs=2 --set server.kept_broadcasts=0 \
        --record-payloads --out runs/many-without
    python benchmarks/kept_broadcasts.py runs/many-without

Replays a run that was recorded without catch-up messages, encodes for every client that missed rounds the message that
a server which keeps N old broadcasts could send, takes it where it is shorter than what was sent, and checks that it
decodes to the same model bit for bit. Training does not depend on it, so the totals are those of a run with N.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from record import save

from tfc.base.errors import TfcError
from tfc.codec import message
from tfc.codec.message_spec import Kind, ReferenceModel
from tfc.codec.spec_file import from_json
from tfc.federated.kept_broadcasts import KeptBroadcasts
from tfc.replay.files import broadcast_digest
from tfc.replay.replay import RecordedRun

CAUSES = {Kind.SEED: "seeds", Kind.DELTA: "differences", Kind.KEY_FRAME: "key_frames", Kind.CATCH_UP: "catch_up"}


def replayed(run: Path, kept_rounds: int) -> dict[str, int]:
    """Bytes up, and down by cause, where the server keeps so many old broadcasts; 0 for what was sent."""
    recorded = RecordedRun(run)
    downlink, _ = from_json((run / "payloads" / "spec.json").read_text(encoding="utf-8"))
    spec = dataclasses.replace(downlink, kinds=(*downlink.kinds, Kind.CATCH_UP), remembers_moves=False)
    kept = KeptBroadcasts(spec, kept_rounds)
    totals = dict.fromkeys(("updates", *CAUSES.values()), 0)
    held: dict[int, int] = {}
    for expected in recorded.rounds:
        payloads = recorded.payloads(expected)
        recorded.play(expected)
        model = recorded.broadcast
        assert model is not None
        kept.add(expected.round, model, np.zeros(spec.num_scalars, np.float32))
        totals["updates"] += sum(map(len, payloads.up.values()))
        for client, messages in payloads.down.items():
            sent: list[bytes] = list(messages)
            since = held.get(client, 0)
            if kept_rounds and since and since < expected.round - 1:
                catch_up = kept.message(since)
                if catch_up and len(catch_up) < sum(map(len, sent)):
                    check(message.decode(catch_up, spec, kept.models[since]).held, model)
                    sent = [catch_up]
            for each in sent:
                totals[CAUSES[Kind(each[3])]] += len(each)
            held[client] = expected.round
        kept.keep(held)
    return totals


def check(found: ReferenceModel, model: ReferenceModel) -> None:
    """Ends the measurement where a catch-up message does not give the broadcast model."""
    if broadcast_digest(found.palettes, found.others) != broadcast_digest(model.palettes, model.others):
        raise SystemExit("a catch-up message decodes to another model")


def main() -> None:
    """Writes `results/kept_broadcasts.json` and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run with clients_per_round, recorded without catch-ups")
    parser.add_argument("--kept", type=int, nargs="+", default=[0, 4, 8, 16, 32, 64], help="numbers of old broadcasts")
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for number in options.kept:
        try:
            totals = replayed(options.run, number)
        except TfcError as error:
            raise SystemExit(f"error: {error}") from error
        rows[str(number)] = {**totals, "all": sum(totals.values())}
        print(number, rows[str(number)], flush=True)
    save("kept_broadcasts", f"python benchmarks/kept_broadcasts.py {options.run}", {"bytes_by_kept_broadcasts": rows})


if __name__ == "__main__":
    main()
