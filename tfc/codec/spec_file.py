"""What both ends know of a model's messages, as JSON. NumPy's side alone needs it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from tfc.base.errors import CodecError
from tfc.base.schema import flag, listed, number, parse_json, record, whole
from tfc.codec.message_spec import InitialValue, Kind, MessageSpec
from tfc.codec.palette import MAX_CLUSTERS

_RENAMED = {"held_clusters": "reference_clusters"}
"""Fields that older versions wrote under another name, and their name now: recorded runs stay readable."""


def to_json(downlink: MessageSpec, uplink: MessageSpec) -> str:
    """Returns the specifications of both directions.

    Args:
        downlink: Of broadcasts.
        uplink: Of clients' answers.
    """
    specs = {"downlink": dataclasses.asdict(downlink), "uplink": dataclasses.asdict(uplink)}
    return json.dumps(specs, indent=1) + "\n"


_MOST_PARAMETERS = 1 << 26
"""Parameters of the largest model: a message of 24 bytes, a seed, may stand for all of them."""
_MOST_TENSORS, _MOST_DIMENSIONS, _MOST_SCALARS, _MOST_BITS = 10_000, 8, 1024, 16

_SHAPES = listed(listed(whole(1, _MOST_PARAMETERS), most=_MOST_DIMENSIONS), most=_MOST_TENSORS)
_STARTS = listed(
    record({"constant": number(-1e30, 1e30), "limit": number(0, 1e30), "tensor": whole(0, _MOST_TENSORS)}),
    most=_MOST_TENSORS,
)
_HELD = whole(0, MAX_CLUSTERS)
_SPEC = record(
    {
        "kernel_shapes": _SHAPES,
        "other_shapes": _SHAPES,
        "max_clusters": whole(1, MAX_CLUSTERS),
        "kinds": listed(whole(0, max(Kind)), least=1, most=len(Kind)),
        "initial_kernels": _STARTS,
        "initial_others": _STARTS,
        "relative_others": listed(flag(), most=_MOST_TENSORS),
    },
    {
        "num_scalars": whole(0, _MOST_SCALARS),
        "reference_clusters": _HELD,
        **dict.fromkeys(_RENAMED, _HELD),
        "other_bits": whole(1, _MOST_BITS),
        "remembers_moves": flag(),
    },
)
_FILE = record({"downlink": _SPEC, "uplink": _SPEC})


def _spec(values: dict[str, Any]) -> MessageSpec:
    changed = {_RENAMED.get(name, name): value for name, value in values.items()}
    for name in ("kernel_shapes", "other_shapes"):
        changed[name] = tuple(map(tuple, values[name]))
    changed["kinds"] = tuple(Kind(kind) for kind in values["kinds"])
    for name in ("initial_kernels", "initial_others"):
        changed[name] = tuple(InitialValue(**start) for start in values[name])
    changed["relative_others"] = tuple(values["relative_others"])
    spec = MessageSpec(**changed)
    if sum((*spec.kernel_sizes, *spec.other_sizes)) > _MOST_PARAMETERS:
        raise ValueError(f"a model of more than {_MOST_PARAMETERS:,} parameters")
    for name, wanted in (
        ("initial_kernels", len(spec.kernel_shapes)),
        ("initial_others", len(spec.other_shapes)),
        ("relative_others", len(spec.other_shapes)),
    ):
        if len(getattr(spec, name)) not in (0, wanted):
            raise ValueError(f"{name} has {len(getattr(spec, name))} items; {wanted} are needed, or none")
    if Kind.SEED in spec.kinds and not (spec.initial_kernels or spec.initial_others):
        raise ValueError("kinds names a seed, and no initial value is there")
    return spec


def from_json(text: bytes | str) -> tuple[MessageSpec, MessageSpec]:
    """Returns the specifications (downlink, uplink) that `to_json` wrote.

    Args:
        text: JSON.

    Raises:
        CodecError: If it is something else.
    """
    try:
        values = _FILE(parse_json(text), "")
        return _spec(values["downlink"]), _spec(values["uplink"])
    except RecursionError as error:
        raise CodecError("not the specifications of messages: nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CodecError(f"not the specifications of messages: {error}") from error
