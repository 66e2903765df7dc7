"""One model as bytes, format 3: what both ends hold is not sent again. NumPy alone.

A clustered kernel travels as a codebook and entropy-coded cluster indices, coded given what the receiver holds
(`contexts`); codebooks and all other parameters as steps from what it holds (`differences`); an initial model as a seed
that both ends expand (`seed_model`). A key frame stands alone; its floats are exact, so whoever gets one holds the same
model as whoever followed the differences. So are those of a catch-up message, whose indices are coded given an older
broadcast. A model without clustered kernels (FedAvg's) is float32 throughout.

`docs/wire-format.md` names every byte; `tfc.graph_codec` writes and reads the same ones inside a TensorFlow graph, all
kinds but catch-up messages, which the server makes outside of the learning process.
"""

from __future__ import annotations

import zlib

import numpy as np

from tfc.base.errors import CodecError
from tfc.codec import contexts, differences, rans, seed_model, tables
from tfc.codec.frequency_bands import SCALE_UNIT
from tfc.codec.message_checks import check_message, check_seed, kind_of
from tfc.codec.message_spec import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MAGIC,
    MOVES,
    Decoded,
    Kind,
    Message,
    MessageSpec,
    ReferenceModel,
)
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.payload_reader import PayloadReader, check_end, read_floats, read_header, reference_checksum
from tfc.codec.rans import FREQUENCY_TOTAL


def _to_symbols(steps: np.ndarray) -> np.ndarray:
    """0, +1, -1, +2, ... as 0, 1, 2, 3, ..."""
    return np.where(steps > 0, 2 * steps - 1, -2 * steps)


def _from_symbols(symbols: np.ndarray) -> np.ndarray:
    return np.where(symbols % 2 == 1, (symbols + 1) // 2, -(symbols // 2))


def _padded(centroids: np.ndarray, max_clusters: int) -> np.ndarray:
    codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
    codebook[: len(centroids)] = centroids
    return codebook


def _stream_contexts(spec: MessageSpec, kind: Kind, held: ReferenceModel | None, num_clusters: int) -> np.ndarray:
    """Rows of the frequencies for all symbols: indices, codebooks, other parameters.

    Behind the rows of the kernels' contexts come: codebooks, other parameters, and one that is certain to be 0.
    """
    rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    slots = np.tile(np.arange(spec.max_clusters), len(spec.kernel_sizes))
    in_codebook = np.where((slots < num_clusters) & (kind == Kind.DELTA), rows, rows + 2)
    others = np.full(sum(spec.other_sizes), rows + 2 if kind.exact else rows + 1)
    return np.concatenate([contexts.context_numbers(spec, kind, held), in_codebook, others])


def _frequencies(
    spec: MessageSpec, groupings: np.ndarray, chosen: np.ndarray, in_use: int, of_steps: np.ndarray
) -> np.ndarray:
    places = contexts.table_places(groupings, spec.ranks, in_use).reshape(-1)
    sent = np.concatenate([chosen, of_steps])
    rows = tables.frequencies_of(sent, spec.largest_step)[np.concatenate([places, [len(chosen), len(chosen) + 1]])]
    certain = np.zeros((1, rows.shape[1]), np.int64)
    certain[0, 0] = FREQUENCY_TOTAL
    return np.concatenate([rows, certain])


def _contexts_in_use(spec: MessageSpec, kind: Kind, held: ReferenceModel | None) -> int:
    """How many of a kernel's contexts there may be tables for: bands in an update, else ranks in what is held."""
    if kind == Kind.UPDATE:
        return spec.most_bands
    return 1 if held is None or kind == Kind.KEY_FRAME else int(held.num_clusters)


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
        index_symbols.append(_to_symbols(steps - contexts.expected_ranks(kind, spec, ranks, held, number)))
    values = np.concatenate([*index_symbols, *slot_symbols, *other_symbols])
    escape = 2 * spec.largest_step + 1
    symbols = np.minimum(values, escape)
    rows = _stream_contexts(spec, kind, held, num_clusters)
    in_use = _contexts_in_use(spec, kind, held)
    num_rows = len(spec.kernel_sizes) * spec.ranks * MOVES
    counts = np.bincount(rows * (escape + 1) + symbols, minlength=(num_rows + 3) * (escape + 1))
    counts = counts.reshape(num_rows + 3, escape + 1)
    of_kernels = counts[:num_rows].reshape(len(spec.kernel_sizes), spec.ranks, MOVES, escape + 1)
    groupings, chosen = contexts.choose_groupings(
        tables.step_counts(of_kernels), in_use, spec.largest_step, only_all=kind == Kind.KEY_FRAME
    )
    of_steps, _ = tables.choose_tables(tables.step_counts(counts[num_rows : num_rows + 2]), spec.largest_step)
    frequencies = _frequencies(spec, groupings, chosen, in_use, of_steps)
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
            before = _held_centroids(held, number, num_clusters)
            wanted = differences.largest_exponent(centroids) - differences.CODEBOOK_BITS
            possible = differences.largest_exponent(centroids - before) - differences.COARSEST_BITS
            exponent = _limited(max(wanted, possible))
            step = differences.power_of_two(np.int64(exponent))
            steps[:num_clusters] = differences.to_steps(centroids, before, step)
            centroids = differences.from_steps(steps[:num_clusters], before, step)
        codebooks.append(centroids)
        exponents.append(exponent)
        symbols.append(_to_symbols(steps))
    return raw, codebooks, exponents, symbols


def _limited(exponent: int) -> int:
    return min(max(exponent, differences.SMALLEST_EXPONENT), differences.LARGEST_EXPONENT)


def _held_centroids(held: ReferenceModel, number: int, num_clusters: int) -> np.ndarray:
    """What the receiver has in each slot in use; 0 in a new one."""
    codebook = np.asarray(held.palettes[number].codebook, np.float32)[:num_clusters]
    return np.where(np.arange(num_clusters) < int(held.num_clusters), codebook, np.float32(0))


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
        symbols.append(_to_symbols(differences.to_steps(value, before, step)))
    return exponents, symbols


def decode(payload: bytes, spec: MessageSpec, held: ReferenceModel | None = None) -> Decoded:
    """Decodes a message.

    Args:
        payload: What `encode` or `encode_seed` returned.
        spec: Shapes of the model, and the kinds that its messages may have.
        held: What this end holds; None where it holds nothing.

    Returns:
        The message and what its receiver remembers; codebooks are filled up to `max_clusters` slots with
        `UNUSED_CENTROID`.

    Raises:
        CodecError: If the bytes are no message of this form, are damaged, or refer to something else than what is held.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> spec = tfc.MessageSpec(kernel_shapes=(), other_shapes=((3,),), max_clusters=1)
        >>> message = tfc.Message(0, (), (np.array([1.0, 2.0, 3.0], np.float32),), np.zeros(0, np.float32))
        >>> payload = tfc.encode(message, spec)
        >>> tfc.decode(payload, spec).message.others[0]
        array([1., 2., 3.], dtype=float32)
        >>> tfc.decode(payload[:-1], spec)
        Traceback (most recent call last):
        tfc.base.errors.CodecError: byte 23: the checksum does not match, the message is damaged
    """
    reader = PayloadReader(payload)
    kind, num_clusters = read_header(reader, spec, held)
    scalars = reader.array("<f4", spec.num_scalars, "scalars").astype(np.float32)
    if kind == Kind.SEED:
        seed = int(reader.array("<u4", 1, "seed")[0])
        check_end(reader)
        start = seed_model.expand(seed, num_clusters, spec)
        return Decoded(Message(start.num_clusters, start.palettes, start.others, scalars), start.moves)
    if spec.kernel_shapes:
        palettes, moves, others, band_scales = _read_model(reader, spec, kind, held, num_clusters)
        return Decoded(Message(np.int32(num_clusters), palettes, others, scalars, band_scales), moves)
    others = read_floats(reader, spec.other_shapes)
    check_end(reader)
    return Decoded(Message(np.int32(0), (), others, scalars), ())


def _read_model(
    reader: PayloadReader, spec: MessageSpec, kind: Kind, held: ReferenceModel | None, num_clusters: int
) -> tuple[tuple[Palette, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    num_kernels = len(spec.kernel_shapes)
    exponents = reader.exponents(num_kernels, "exponents of codebooks")
    other_exponents = reader.exponents(len(spec.other_shapes), "exponents of parameters")
    codebooks: list[np.ndarray] = []
    others: tuple[np.ndarray, ...] = ()
    band_scales: tuple[np.ndarray, ...] = ()
    if kind.exact:
        if exponents.any() or other_exponents.any():
            raise CodecError(f"byte {reader.position}: exponents of steps in front of floats that are sent as they are")
        codebooks = [reader.array("<f4", num_clusters, "codebooks").astype(np.float32) for _ in exponents]
        others = read_floats(reader, spec.other_shapes)
    elif kind == Kind.UPDATE:
        steps = differences.power_of_two(exponents)
        start = reader.position
        codebooks = [reader.array("i1", num_clusters, "codebooks").astype(np.float32) * step for step in steps]
        if any(codebook[spec.max_clusters // 2] for codebook in codebooks):
            raise CodecError(f"from byte {start}: an update whose middle centroid is not zero")
        band_scales = tuple(reader.array("u1", count, "scales of bands") for count in spec.bands)
    in_use = _contexts_in_use(spec, kind, held)
    start = reader.position
    groupings = reader.array("u1", num_kernels, "groupings").astype(np.int64)
    if groupings.max() > (0 if kind == Kind.KEY_FRAME else max(contexts.Grouping)):
        raise CodecError(f"from byte {start}: grouping {groupings.max()} of tables is not possible here")
    num_tables = int(contexts.tables_per_kernel(in_use)[groupings].sum())
    chosen = reader.array("<u2", num_tables + 2, "tables").astype(np.int64)
    frequencies = _frequencies(spec, groupings, chosen[:-2], in_use, chosen[-2:])
    states = reader.array("<u4", spec.lanes, "states of the entropy coder")
    start = reader.position
    if (len(reader.payload) - start) % 2:
        raise CodecError(f"byte {start}: the entropy-coded words have an odd number of bytes")
    words = reader.array("<u2", (len(reader.payload) - start) // 2, "words")
    rows = _stream_contexts(spec, kind, held, num_clusters)
    values, used, sound = rans.decode(states, words, rows, frequencies)
    escaped = values == 2 * spec.largest_step + 1
    if not sound or used + escaped.sum() != len(words):
        raise CodecError(f"from byte {start}: the entropy-coded symbols do not end as they should")
    values[escaped] = words[used:]
    steps = _from_symbols(values)
    of_indices, of_slots, of_others = np.split(
        steps, [spec.num_indices, spec.num_indices + num_kernels * spec.max_clusters]
    )
    if kind == Kind.DELTA and held is not None:
        for number, exponent in enumerate(exponents):
            before = _held_centroids(held, number, num_clusters)
            slots = of_slots[number * spec.max_clusters :][:num_clusters]
            codebooks.append(differences.from_steps(slots, before, differences.power_of_two(exponent)))
        if not all(np.isfinite(codebook).all() for codebook in codebooks):
            raise CodecError(f"from byte {start}: centroids that are not finite")
    if held is not None and not kind.exact:
        others = _add_others(spec, held, other_exponents, of_others)
    palettes, moves = [], []
    for number, (piece, codebook) in enumerate(
        zip(np.split(of_indices, np.cumsum(spec.kernel_sizes)[:-1]), codebooks, strict=True)
    ):
        ranks = contexts.ranks_of(codebook)
        expected = contexts.expected_ranks(kind, spec, ranks, held, number)
        found = expected + piece
        if found.size and not (found.min() >= 0 and found.max() < num_clusters):
            raise CodecError(f"from byte {start}: an index of kernel {number} is outside of 0 to {num_clusters - 1}")
        slots = np.argsort(ranks, kind="stable")[found].astype(np.uint8).reshape(spec.kernel_shapes[number])
        palette = Palette(_padded(codebook, spec.max_clusters), slots)
        palettes.append(palette)
        stayed = np.zeros(spec.kernel_shapes[number], np.uint8)
        remembered = kind == Kind.DELTA and spec.remembers_moves
        moves.append(contexts.moves_of(palette, ranks, expected) if remembered else stayed)
    return tuple(palettes), tuple(moves), others, band_scales


def _add_others(
    spec: MessageSpec, held: ReferenceModel, exponents: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, ...]:
    others = []
    pieces = np.split(steps, np.cumsum(spec.other_sizes)[:-1]) if spec.other_sizes else []
    for piece, before, exponent, relative in zip(pieces, held.others, exponents, spec.is_relative, strict=True):
        before = np.asarray(before, np.float32)
        step = differences.power_of_two(exponent) * differences.scales(before, relative=relative)
        value = differences.from_steps(piece.reshape(before.shape), before, step)
        others.append(np.maximum(value, differences.at_least(before, step, relative=relative)))
    if not all(np.isfinite(other).all() for other in others):
        raise CodecError(f"from byte {HEADER_BYTES}: changes of parameters to values that are not finite")
    return tuple(others)
