"""Writes messages (`tfc.codec.message` says what they are). NumPy alone."""

from __future__ import annotations

import zlib

import numpy as np

from tfc.codec import contexts, differences, rans, tables
from tfc.codec.frequency_bands import SCALE_UNIT
from tfc.codec.message_checks import check_message, check_seed, kind_of
from tfc.codec.message_spec import FORMAT_VERSION, MAGIC, MOVES, Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.payload_reader import reference_checksum
from tfc.codec.symbol_stream import contexts_in_use, held_centroids, stream_contexts, symbol_frequencies, to_symbols


def _header(spec: MessageSpec, kind: Kind, held: ReferenceModel | None, num_clusters: int) -> bytes:
    held_name = reference_checksum(held) if held is not None and kind.refers else 0
    return b"".join(
        [
            MAGIC,
            bytes([FORMAT_VERSION, kind]),
            held_name.to_bytes(4, "little"),
            num_clusters.to_bytes(2, "little"),
            bytes([spec.lanes.bit_length() - 1, 0]),
        ]
    )


def _with_checksum(payload: bytes) -> bytes:
    return payload + zlib.adler32(payload).to_bytes(4, "little")


def encode_seed(seed: int, num_clusters: int, scalars: np.ndarray, spec: MessageSpec) -> bytes:
    """Encodes an initial model as the seed that both ends expand: a message of `Kind.SEED`.

    Args:
        seed: 0 to 2^32 - 1.
        num_clusters: Clusters in use.
        scalars: float32 (num_scalars,), finite.
        spec: Shapes of the model, which has clustered kernels, and where each parameter starts.

    Returns:
        The payload; `decode` expands it to the model.

    Raises:
        CodecError: If the specification does not allow this kind or does not say where parameters start, or a number
            is out of range.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> spec = tfc.MessageSpec(
        ...     kernel_shapes=((3, 3, 16, 32),),
        ...     other_shapes=(),
        ...     max_clusters=16,
        ...     kinds=(tfc.Kind.SEED, tfc.Kind.DELTA),
        ...     initial_kernels=(tfc.InitialValue(limit=0.2, tensor=0),),
        ... )
        >>> payload = tfc.encode_seed(7, 16, np.zeros(0), spec)
        >>> len(payload)
        20
        >>> tfc.decode(payload, spec).message.palettes[0].indices.shape
        (3, 3, 16, 32)
    """
    check_seed(seed, num_clusters, scalars, spec)
    header = _header(spec, Kind.SEED, None, num_clusters)
    return _with_checksum(header + np.asarray(scalars, "<f4").tobytes() + seed.to_bytes(4, "little"))


def encode(
    message: Message,
    spec: MessageSpec,
    held: ReferenceModel | None = None,
    *,
    update: bool = False,
    catch_up: bool = False,
) -> bytes:
    """Encodes a message; `decode` with the same specification and the same `held` reads it.

    Args:
        message: NumPy arrays with the shapes of `spec`, finite; every index below `num_clusters`.
        spec: Shapes of the model, and the kinds that its messages may have.
        held: What the receiver holds; None for a key frame. For the start that a seed stands for: `encode_seed`.
        update: Whether the palettes are those of a change of the kernels held.
        catch_up: Whether what is held is an older broadcast, and the receiver shall hold this model bit for bit.

    Returns:
        The payload.

    Raises:
        CodecError: If the message or what is held does not fit the specification, or the specification does not allow
            this kind of message.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> spec = tfc.MessageSpec(kernel_shapes=((2, 3),), other_shapes=((2,),), max_clusters=4)
        >>> codebook = np.array([-1.0, 0.5, 2.0, 0.0], np.float32)
        >>> palette = tfc.Palette(codebook, np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
        >>> message = tfc.Message(3, (palette,), (np.array([1.0, -2.0], np.float32),), np.zeros(0, np.float32))
        >>> key_frame = tfc.encode(message, spec)
        >>> held = tfc.decode(key_frame, spec).held
        >>> difference = tfc.encode(message, spec, held)
        >>> len(key_frame), len(difference)
        (61, 41)
    """
    kind = kind_of(spec, held, update=update, catch_up=catch_up)
    check_message(message, spec, held, kind)
    if not spec.kernel_shapes:
        parts = [_header(spec, Kind.KEY_FRAME, None, 0), np.asarray(message.scalars, "<f4").tobytes()]
        return _with_checksum(b"".join([*parts, *(np.asarray(other, "<f4").tobytes() for other in message.others)]))
    num_clusters = int(message.num_clusters)
    raw, codebooks, exponents, slot_symbols = _encode_codebooks(message, spec, kind, held, num_clusters)
    other_exponents, other_symbols = _encode_others(message, spec, kind, held)
    if kind.exact:
        raw += b"".join(np.asarray(other, "<f4").tobytes() for other in message.others)
    elif kind == Kind.UPDATE:
        band_scales = message.band_scales or [np.full(count, SCALE_UNIT) for count in spec.bands]
        raw += b"".join(np.asarray(scales, np.uint8).tobytes() for scales in band_scales)

    index_symbols = [np.zeros(0, np.int64)]
    for number, (palette, codebook) in enumerate(zip(message.palettes, codebooks, strict=True)):
        ranks = contexts.ranks_of(codebook)
        steps = ranks[np.asarray(palette.indices, np.int64).reshape(-1)]
        index_symbols.append(to_symbols(steps - contexts.expected_ranks(kind, spec, ranks, held, number)))
    values = np.concatenate([*index_symbols, *slot_symbols, *other_symbols])
    escape = 2 * spec.largest_step + 1
    symbols = np.minimum(values, escape)
    rows = stream_contexts(spec, kind, held, num_clusters)
    in_use = contexts_in_use(spec, kind, held)
    num_rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    counts = np.bincount(rows * (escape + 1) + symbols, minlength=(num_rows + 3) * (escape + 1))
    counts = counts.reshape(num_rows + 3, escape + 1)
    of_kernels = counts[:num_rows].reshape(len(spec.kernel_sizes), spec.ranks, MOVES, escape + 1)
    groupings, chosen = contexts.choose_groupings(
        tables.step_counts(of_kernels), in_use, spec.largest_step, only_all=kind == Kind.KEY_FRAME
    )
    of_steps, _ = tables.choose_tables(tables.step_counts(counts[num_rows : num_rows + 2]), spec.largest_step)
    frequencies = symbol_frequencies(spec, groupings, chosen, in_use, of_steps)
    # A table has no room for magnitudes beyond its shape's largest.
    symbols = np.where(frequencies[rows, symbols] > 0, symbols, escape)
    states, words = rans.encode(symbols, rows, frequencies, spec.lanes)
    return _with_checksum(
        b"".join(
            [
                _header(spec, kind, held, num_clusters),
                np.asarray(message.scalars, "<f4").tobytes(),
                np.array([*exponents, *other_exponents], np.int8).tobytes(),
                raw,
                groupings.astype(np.uint8).tobytes(),
                np.concatenate([chosen, of_steps]).astype("<u2").tobytes(),
                states.astype("<u4").tobytes(),
                words.astype("<u2").tobytes(),
                values[symbols == escape].astype("<u2").tobytes(),
            ]
        )
    )


def _encode_codebooks(
    message: Message, spec: MessageSpec, kind: Kind, held: ReferenceModel | None, num_clusters: int
) -> tuple[bytes, list[np.ndarray], list[int], list[np.ndarray]]:
    """Returns raw bytes, the codebooks as the receiver will see them, exponents, symbols of all slots."""
    raw, codebooks, exponents, symbols = b"", [], [], []
    for number, palette in enumerate(message.palettes):
        centroids = np.asarray(palette.codebook[:num_clusters], np.float32)
        steps = np.zeros(spec.max_clusters, np.int64)
        exponent = 0
        if kind.exact or held is None:
            raw += centroids.astype("<f4").tobytes()
        elif kind == Kind.UPDATE:
            exponent = _limited(differences.largest_exponent(centroids) - differences.UPDATE_BITS)
            step = differences.power_of_two(np.int64(exponent))
            numbers = np.clip(np.rint(centroids / step), -127, 127).astype(np.int8)
            numbers[spec.max_clusters // 2 :][:1] = 0
            raw += numbers.tobytes()
            centroids = numbers.astype(np.float32) * step
        else:
            before = held_centroids(held, number, num_clusters)
            wanted = differences.largest_exponent(centroids) - differences.CODEBOOK_BITS
            possible = differences.largest_exponent(centroids - before) - differences.COARSEST_BITS
            exponent = _limited(max(wanted, possible))
            step = differences.power_of_two(np.int64(exponent))
            steps[:num_clusters] = differences.to_steps(centroids, before, step)
            centroids = differences.from_steps(steps[:num_clusters], before, step)
        codebooks.append(centroids)
        exponents.append(exponent)
        symbols.append(to_symbols(steps))
    return raw, codebooks, exponents, symbols


def _limited(exponent: int) -> int:
    return min(max(exponent, differences.SMALLEST_EXPONENT), differences.LARGEST_EXPONENT)


def _encode_others(
    message: Message, spec: MessageSpec, kind: Kind, held: ReferenceModel | None
) -> tuple[list[int], list[np.ndarray]]:
    """Returns exponents and symbols of the other parameters; zeros where they are sent as they are."""
    if kind.exact or held is None:
        return [0] * len(spec.other_sizes), [np.zeros(size, np.int64) for size in spec.other_sizes]
    exponents, symbols = [], []
    parts = zip(message.others, held.others, spec.other_shapes, spec.is_relative, strict=True)
    for value, before, value_shape, relative in parts:
        value, before = np.asarray(value, np.float32).reshape(-1), np.asarray(before, np.float32).reshape(-1)
        bits = spec.bits_of(value_shape)
        exponent = differences.step_exponent(value, before, bits, relative=relative)
        step = differences.power_of_two(np.int64(exponent)) * differences.scales(before, relative=relative)
        exponents.append(exponent)
        symbols.append(to_symbols(differences.to_steps(value, before, step)))
    return exponents, symbols
