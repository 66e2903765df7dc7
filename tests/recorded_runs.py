"""Recorded runs as their folders would have them, without any training."""

import dataclasses

import numpy as np

from tfc import config
from tfc.codec import message
from tfc.codec.message_spec import Kind, Message, MessageSpec
from tfc.replay.files import RoundPayloads, broadcast_digest, digest, write_final, write_round, write_spec
from tfc.simulation.folder import RoundMetrics
from tfc.simulation.folder_writer import RunFolder
from tfc.simulation.totals import ratios, run_totals

SHAPES = ((4, 3), (3,))


def recorded_run(folder, rounds=4, clients=3):
    """A run of FedAvg of a small model, recorded: what `tfc run --record-payloads` leaves, without model.keras."""
    experiment = config.load("demo", {"method": "fedavg", "rounds": rounds, "data.num_clients": clients})
    down = MessageSpec((), SHAPES, 1, relative_others=(False, False))
    up = dataclasses.replace(down, num_scalars=4, kinds=(Kind.DELTA,), reference_clusters=1)
    rng = np.random.default_rng(0)
    run, payloads = RunFolder(folder), folder / "payloads"
    run.write_text("config.toml", config.to_toml(experiment))
    run.write_class_counts([[10, 20]] * clients)
    write_spec(payloads, down, up)
    held, model = None, [rng.normal(size=shape).astype("f4") for shape in SHAPES]
    for number in range(1, rounds + 2):
        sent = message.encode(Message(0, (), tuple(model), np.zeros(0, "f4")), down, held)
        held = message.decode(sent, down, held).held
        if number > rounds:
            write_final(payloads, sent)
            break
        examples = [np.float32(10 + client) for client in range(clients)]
        answers = [[part + rng.normal(size=part.shape).astype("f4") for part in model] for _ in examples]
        coded = [
            message.encode(Message(0, (), tuple(answer), np.array([share, 1, 1, 1], "f4")), up)
            for answer, share in zip(answers, examples, strict=True)
        ]
        sums = [np.zeros_like(part) for part in model]
        for answer, share in zip(answers, examples, strict=True):
            sums = [total + share * part for total, part in zip(sums, answer, strict=True)]
        model = [total / np.float32(sum(examples)) for total in sums]
        write_round(
            payloads,
            RoundPayloads(
                number, {client: [sent] for client in range(clients)}, dict(enumerate(coded)),
                broadcast_digest(held.palettes, held.others), digest(model),
            ),
        )  # fmt: skip
        run.add_round(
            RoundMetrics(
                number, 0.1 * number, 1.0, 0, 0.0, sum(map(len, coded)), clients * len(sent), 0, 0.0, clients, 0, 1.0
            )
        )
    run.write_summary(
        {
            "method": "fedavg",
            "aggregation": "mean",
            **run_totals(run.rounds),
            **ratios(run.rounds, 15),
            "parameters": 15,
            "uplink": "float32",
            "versions": {"python": "3.11"},
            "machine": {"processor": "any", "architecture": "x86_64", "cores": 2},
            "seed": experiment.seed,
        }
    )
    return folder
