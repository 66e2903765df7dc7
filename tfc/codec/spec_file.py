"""What both ends know of a model's messages, as JSON. NumPy's side alone needs it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from tfc.base.errors import CodecError
from tfc.codec.message_spec import InitialValue, Kind, MessageSpec

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


def _spec(values: dict[str, Any]) -> MessageSpec:
    changed = {_RENAMED.get(name, name): value for name, value in values.items()}
    for name in ("kernel_shapes", "other_shapes"):
        changed[name] = tuple(tuple(int(size) for size in shape) for shape in values[name])
    changed["kinds"] = tuple(Kind(kind) for kind in values["kinds"])
    for name in ("initial_kernels", "initial_others"):
        changed[name] = tuple(InitialValue(**start) for start in values[name])
    changed["relative_others"] = tuple(bool(flag) for flag in values["relative_others"])
    return MessageSpec(**changed)


def from_json(text: str) -> tuple[MessageSpec, MessageSpec]:
    """Returns the specifications (downlink, uplink) that `to_json` wrote.

    Args:
        text: JSON.

    Raises:
        CodecError: If it is something else.
    """
    try:
        values = json.loads(text)
        return _spec(values["downlink"]), _spec(values["uplink"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CodecError(f"not the specifications of messages: {error}") from error
