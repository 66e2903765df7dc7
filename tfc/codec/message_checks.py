"""What is refused before a message is encoded, so that whatever is encoded can be decoded. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfc.base.errors import CodecError
from tfc.codec.frequency_bands import LARGEST_SCALE
from tfc.codec.message_spec import Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import MAX_CLUSTERS, Palette

_ADVICE = {
    Kind.KEY_FRAME: "give the model that the receiver holds, or add Kind.KEY_FRAME to the specification's kinds",
    Kind.DELTA: "leave out the model that the receiver holds, or add Kind.DELTA to the specification's kinds",
    Kind.UPDATE: "add Kind.UPDATE to the specification's kinds",
    Kind.SEED: "add Kind.SEED to the specification's kinds",
    Kind.CATCH_UP: "add Kind.CATCH_UP to the specification's kinds",
}


def kind_of(spec: MessageSpec, held: ReferenceModel | None, *, update: bool, catch_up: bool = False) -> Kind:
    """Returns the kind of a message.

    Args:
        spec: Shapes of the model, and the kinds that its messages may have.
        held: What the receiver holds.
        update: Whether the palettes are those of a change.
        catch_up: Whether what is held is an older broadcast.

    Raises:
        CodecError: If the specification's receiver does not take this kind; says what to do.
    """
    if update and (held is None or not spec.kernel_shapes):
        missing = "the model that it changes (held)" if held is None else "clustered kernels"
        raise CodecError(f"an update needs {missing}")
    if catch_up:
        _check_catch_up(spec, held, update=update)
    if not spec.kernel_shapes:
        return Kind.KEY_FRAME  # all parameters as float32: there is no other kind of it
    kind = Kind.KEY_FRAME if held is None else Kind.UPDATE if update else Kind.CATCH_UP if catch_up else Kind.DELTA
    _check_kind(spec, kind)
    return kind


def _check_catch_up(spec: MessageSpec, held: ReferenceModel | None, *, update: bool) -> None:
    if update:
        raise CodecError("a message is an update or a catch-up message, not both")
    if held is None or not spec.kernel_shapes:
        missing = "the older broadcast that the receiver holds (held)" if held is None else "clustered kernels"
        raise CodecError(f"a catch-up message needs {missing}")
    if spec.remembers_moves:
        raise CodecError(
            "a catch-up message does not tell the moves that the receiver would have seen: the specification needs "
            "remembers_moves = False"
        )


def _check_kind(spec: MessageSpec, kind: Kind) -> None:
    """Refuses a kind that the receiver would refuse."""
    if kind not in spec.kinds:
        named = ", ".join(Kind(known).name for known in spec.kinds) or "none"
        raise CodecError(f"the specification allows messages of kind {named}, not {kind.name}: {_ADVICE[kind]}")


def check_message(message: Message, spec: MessageSpec, held: ReferenceModel | None, kind: Kind) -> None:
    """Refuses a message or a reference model that does not fit the specification.

    Args:
        message: What is to be encoded.
        spec: Shapes of the model.
        held: What the receiver holds.
        kind: Of the message.

    Raises:
        CodecError: If a shape, a number of clusters or an index does not fit, or a value is not finite.
    """
    _check_parts("the message", message.palettes, message.others, spec)
    _check_scalars(message.scalars, spec)
    _check_finite("other parameters", message.others)
    if not spec.kernel_shapes:
        return
    num_clusters = int(message.num_clusters)
    _check_num_clusters(num_clusters, spec)
    if kind == Kind.UPDATE and num_clusters != spec.max_clusters:
        raise CodecError(f"an update uses all {spec.max_clusters} slots of its codebook, found {num_clusters}")
    _check_palettes(message.palettes, num_clusters)
    _check_band_scales(message, spec, kind)
    if held is None:
        return
    _check_parts("the held model", held.palettes, held.others, spec)
    if tuple(np.shape(move) for move in held.moves) != spec.kernel_shapes:
        raise CodecError("the held model's moves differ in shape from the specification's kernels")
    if not 1 <= int(held.num_clusters) <= spec.reference_slots:
        raise CodecError(
            f"the held model must have 1 to {spec.reference_slots} clusters, found {int(held.num_clusters)}"
        )


def check_seed(seed: int, num_clusters: int, scalars: np.ndarray, spec: MessageSpec) -> None:
    """Refuses a seed whose message can't be expanded.

    Args:
        seed: Of the initial model.
        num_clusters: Clusters in use.
        scalars: Values beside the model.
        spec: Shapes and starts of the model.

    Raises:
        CodecError: If the specification does not allow seeds or does not say where parameters start, or a number is
            out of range.
    """
    _check_kind(spec, Kind.SEED)
    starts = len(spec.initial_kernels), len(spec.initial_others)
    if not spec.kernel_shapes or starts != (len(spec.kernel_shapes), len(spec.other_shapes)):
        raise CodecError(
            "a seed needs clustered kernels, and initial_kernels and initial_others in the specification, an "
            f"InitialValue per parameter; found {starts[0]} for {len(spec.kernel_shapes)} kernels and {starts[1]} for "
            f"{len(spec.other_shapes)} other parameters"
        )
    if not 0 <= seed < 1 << 32:
        raise CodecError(f"a seed must be between 0 and 2^32 - 1, found {seed}")
    _check_num_clusters(num_clusters, spec)
    _check_scalars(scalars, spec)


def _check_num_clusters(num_clusters: int, spec: MessageSpec) -> None:
    if not 1 <= spec.max_clusters <= MAX_CLUSTERS:
        raise CodecError(f"the specification's max_clusters must be 1 to {MAX_CLUSTERS}, found {spec.max_clusters}")
    if not 1 <= num_clusters <= spec.max_clusters:
        raise CodecError(f"num_clusters must be between 1 and {spec.max_clusters}, found {num_clusters}")


def _check_scalars(scalars: np.ndarray, spec: MessageSpec) -> None:
    if np.shape(scalars) != (spec.num_scalars,):
        raise CodecError(f"scalars must have shape ({spec.num_scalars},), found {np.shape(scalars)}")
    _check_finite("scalars", [scalars])


def _check_parts(what: str, palettes: Sequence[Palette], others: Sequence[np.ndarray], spec: MessageSpec) -> None:
    shapes = tuple(np.shape(palette.indices) for palette in palettes)
    if shapes != spec.kernel_shapes or tuple(np.shape(other) for other in others) != spec.other_shapes:
        raise CodecError(f"{what}'s shapes differ from the specification's")


def _check_palettes(palettes: Sequence[Palette], num_clusters: int) -> None:
    for palette in palettes:
        lowest, highest = np.min(palette.indices, initial=0), np.max(palette.indices, initial=0)
        if highest >= num_clusters:
            raise CodecError(f"cluster index {highest} is not below the number of clusters {num_clusters}")
        if lowest < 0:
            raise CodecError(f"cluster index {lowest} is negative")
        if len(palette.codebook) < num_clusters:
            raise CodecError(f"a codebook has {len(palette.codebook)} slots for {num_clusters} clusters")
        _check_finite("centroids", [palette.codebook[:num_clusters]])


def _check_band_scales(message: Message, spec: MessageSpec, kind: Kind) -> None:
    if not message.band_scales:
        return
    if kind != Kind.UPDATE:
        raise CodecError(f"band_scales are for updates; the message is a {kind.name}")
    shapes = tuple(np.shape(scales) for scales in message.band_scales)
    if shapes != tuple((count,) for count in spec.bands):
        raise CodecError(f"band_scales must have the kernels' numbers of bands {spec.bands}, found shapes {shapes}")
    for scales in message.band_scales:
        if np.min(scales) < 0 or np.max(scales) > LARGEST_SCALE:
            raise CodecError(f"band_scales must be between 0 and {LARGEST_SCALE}, found {scales}")


def _check_finite(what: str, values: Sequence[np.ndarray]) -> None:
    for value in values:
        with np.errstate(over="ignore"):  # beyond float32 is not finite there
            if not np.isfinite(np.asarray(value, np.float32)).all():
                raise CodecError(f"{what} must be finite float32 values")
