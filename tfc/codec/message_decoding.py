"""Reads messages (`tfc.codec.message` says what they are). NumPy alone."""

from __future__ import annotations

import numpy as np

from tfc.base.errors import CodecError
from tfc.codec import contexts, differences, rans, seed_model
from tfc.codec.message_spec import HEADER_BYTES, Decoded, Kind, Message, MessageSpec, ReferenceModel
from tfc.codec.palette import UNUSED_CENTROID, Palette
from tfc.codec.payload_reader import PayloadReader, check_end, read_floats, read_header
from tfc.codec.symbol_stream import contexts_in_use, from_symbols, held_centroids, stream_contexts, symbol_frequencies


def _padded(centroids: np.ndarray, max_clusters: int) -> np.ndarray:
    codebook = np.full(max_clusters, UNUSED_CENTROID, np.float32)
    codebook[: len(centroids)] = centroids
    return codebook


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
    in_use = contexts_in_use(spec, kind, held)
    start = reader.position
    groupings = reader.array("u1", num_kernels, "groupings").astype(np.int64)
    if groupings.max() > (0 if kind == Kind.KEY_FRAME else max(contexts.Grouping)):
        raise CodecError(f"from byte {start}: grouping {groupings.max()} of tables is not possible here")
    num_tables = int(contexts.tables_per_kernel(in_use)[groupings].sum())
    chosen = reader.array("<u2", num_tables + 2, "tables").astype(np.int64)
    frequencies = symbol_frequencies(spec, groupings, chosen[:-2], in_use, chosen[-2:])
    states = reader.array("<u4", spec.lanes, "states of the entropy coder")
    start = reader.position
    if (len(reader.payload) - start) % 2:
        raise CodecError(f"byte {start}: the entropy-coded words have an odd number of bytes")
    words = reader.array("<u2", (len(reader.payload) - start) // 2, "words")
    rows = stream_contexts(spec, kind, held, num_clusters)
    values, used, sound = rans.decode(states, words, rows, frequencies)
    escaped = values == 2 * spec.largest_step + 1
    if not sound or used + escaped.sum() != len(words):
        raise CodecError(f"from byte {start}: the entropy-coded symbols do not end as they should")
    values[escaped] = words[used:]
    steps = from_symbols(values)
    of_indices, of_slots, of_others = np.split(
        steps, [spec.num_indices, spec.num_indices + num_kernels * spec.max_clusters]
    )
    if kind == Kind.DELTA and held is not None:
        for number, exponent in enumerate(exponents):
            before = held_centroids(held, number, num_clusters)
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
