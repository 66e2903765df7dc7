"""What both ends know of a message before it arrives, and what a message says. NumPy alone."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfc.codec import rans
from tfc.codec.frequency_bands import num_bands
from tfc.codec.palette import Palette

MAGIC = b"FC"
FORMAT_VERSION = 3
HEADER_BYTES = 12
TRAILER_BYTES = 4
MOVES = 3
"""What a weight's cluster did in the last broadcast: 0 stayed, 1 moved up, 2 moved down."""


CLIENT_SCALARS = 4
"""float32 values beside each client's model: examples, validation examples, correct share of them, quality score."""

KERNEL_BITS = 3
"""Bits by which the changes of a kernel that is not clustered are finer than those of other parameters."""


class Kind(enum.IntEnum):
    """How a message tells a model.

    Examples:
        >>> import tfc
        >>> [kind.name for kind in tfc.Kind]
        ['KEY_FRAME', 'DELTA', 'UPDATE', 'SEED', 'CATCH_UP']
    """

    KEY_FRAME = 0
    """By itself."""
    DELTA = 1
    """Palettes given those that the receiver holds."""
    UPDATE = 2
    """A change of the kernels that the receiver holds: palettized coefficients of their frequencies."""
    SEED = 3
    """A number from which both ends compute the same initial model."""
    CATCH_UP = 4
    """Indices given those of an older broadcast that the receiver holds; floats exact, as in a key frame."""

    @property
    def refers(self) -> bool:
        """Whether it is coded given a model that the receiver holds."""
        return self in (Kind.DELTA, Kind.UPDATE, Kind.CATCH_UP)

    @property
    def exact(self) -> bool:
        """Whether codebooks and other parameters are whole floats, so that nothing is rounded."""
        return self in (Kind.KEY_FRAME, Kind.CATCH_UP)

    @property
    def follows_indices(self) -> bool:
        """Whether an index is coded as the step from the one that the receiver holds at the same place."""
        return self in (Kind.DELTA, Kind.CATCH_UP)


@dataclass(frozen=True)
class InitialValue:
    """Where a parameter starts.

    Attributes:
        constant: The value of all its elements, where `limit` is 0.
        limit: Otherwise its elements are uniform in (-limit, limit).
        tensor: Its number in the model, of which its random numbers are a function.

    Examples:
        >>> import tfc
        >>> variances = tfc.InitialValue(constant=1.0)  # every element is 1
        >>> kernel = tfc.InitialValue(limit=0.2, tensor=0)  # elements are uniform in (-0.2, 0.2)
    """

    constant: float = 0.0
    limit: float = 0.0
    tensor: int = 0


@dataclass(frozen=True)
class MessageSpec:
    """What both ends know of a message beforehand.

    Attributes:
        kernel_shapes: Shape of each clustered kernel, in order.
        other_shapes: Shape of each other parameter (BatchNorm, biases, unclustered kernels), in order.
        max_clusters: Slots of a codebook of the message, 1 to 256.
        num_scalars: Number of float32 values that travel beside the model.
        kinds: The kinds that may come.
        reference_clusters: Slots of a codebook that the receiver holds; 0 for as many as in the message.
        initial_kernels: Start of each clustered kernel; its elements are uniform.
        initial_others: Start of each other parameter.
        relative_others: Whether a parameter's precision follows each value's own magnitude (variances do).
        other_bits: Precision of changes of other parameters: the largest change of a parameter takes this many bits.
        remembers_moves: Whether a receiver remembers what each index did; without, it may as well hold a key frame.

    Examples:
        >>> import tfc
        >>> spec = tfc.MessageSpec(kernel_shapes=((3, 3, 16, 32),), other_shapes=((32,), (32,)), max_clusters=16)
        >>> spec.num_indices
        4608
        >>> [kind.name for kind in spec.kinds]
        ['KEY_FRAME', 'DELTA']
    """

    kernel_shapes: tuple[tuple[int, ...], ...]
    other_shapes: tuple[tuple[int, ...], ...]
    max_clusters: int
    num_scalars: int = 0
    kinds: tuple[Kind, ...] = (Kind.KEY_FRAME, Kind.DELTA)
    reference_clusters: int = 0
    initial_kernels: tuple[InitialValue, ...] = ()
    initial_others: tuple[InitialValue, ...] = ()
    relative_others: tuple[bool, ...] = ()
    other_bits: int = 4
    remembers_moves: bool = True

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Number of weights of each clustered kernel."""
        return tuple(math.prod(shape) for shape in self.kernel_shapes)

    @property
    def other_sizes(self) -> tuple[int, ...]:
        """Number of values of each other parameter."""
        return tuple(math.prod(shape) for shape in self.other_shapes)

    @property
    def num_indices(self) -> int:
        """Number of cluster indices of all kernels."""
        return sum(self.kernel_sizes)

    @property
    def reference_slots(self) -> int:
        """Number of centroids that a weight may have in what the receiver holds."""
        return self.reference_clusters or self.max_clusters

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of frequency bands of each clustered kernel in an update."""
        return tuple(num_bands(shape) for shape in self.kernel_shapes)

    @property
    def most_bands(self) -> int:
        """Largest number of frequency bands of a kernel."""
        return max(self.bands, default=1)

    @property
    def ranks(self) -> int:
        """Number of contexts of a kernel's indices: ranks in what the receiver holds; in an update frequency bands."""
        of_updates = self.most_bands if Kind.UPDATE in self.kinds else 1
        return max(of_updates, self.reference_slots) if set(self.kinds) - {Kind.UPDATE} else of_updates

    @property
    def num_symbols(self) -> int:
        """Symbols of the entropy coder: indices, codebooks, other parameters."""
        return self.num_indices + len(self.kernel_shapes) * self.max_clusters + sum(self.other_sizes)

    @property
    def largest_step(self) -> int:
        """Largest step that has a symbol of its own; larger ones are escaped."""
        return max(31, self.max_clusters // 2)

    @property
    def most_bytes(self) -> int:
        """No sound message is longer: every symbol takes at most one word of the coder and one escaped number."""
        kernels, others = len(self.kernel_shapes), sum(self.other_sizes)
        header = HEADER_BYTES + 4 * self.num_scalars + TRAILER_BYTES
        raw = 4 * (kernels * self.max_clusters + others) + sum(self.bands)
        tables = 2 * kernels + len(self.other_shapes) + 2 * (kernels * self.ranks * MOVES + 2)
        return header + raw + tables + 4 * self.lanes + 4 * self.num_symbols

    @property
    def lanes(self) -> int:
        """Lanes of the entropy coder."""
        return rans.lanes_for(self.num_indices)

    def bits_of(self, shape: tuple[int, ...]) -> int:
        """Precision of a parameter's changes; kernels, whose changes add up over rounds, get `KERNEL_BITS` more.

        Args:
            shape: Shape of the parameter.
        """
        return self.other_bits + (KERNEL_BITS if len(shape) > 1 else 0)

    @property
    def is_relative(self) -> tuple[bool, ...]:
        """`relative_others`, filled up where it was left out."""
        return self.relative_others or (False,) * len(self.other_shapes)


class ReferenceModel(NamedTuple):
    """What an end remembers of the last broadcast: what messages are coded given.

    Attributes:
        num_clusters: int32 scalar, clusters in use.
        palettes: One `Palette` per clustered kernel.
        moves: uint8 arrays of the kernels' shapes, what each index did in the last broadcast, below `MOVES`.
        others: float32 arrays, all other parameters.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> indices = np.array([[0, 1], [1, 0]], np.uint8)
        >>> palette = tfc.Palette(np.array([-0.5, 0.5], np.float32), indices)
        >>> held = tfc.ReferenceModel(2, (palette,), moves=(np.zeros_like(indices),), others=())
    """

    num_clusters: Any
    palettes: tuple[Palette, ...]
    moves: tuple[Any, ...]
    others: tuple[Any, ...]


class Message(NamedTuple):
    """A model and the scalars beside it: what a payload says.

    Attributes:
        num_clusters: int32 scalar, clusters in use; 0 where no kernel is clustered.
        palettes: One `Palette` per clustered kernel; in an update those of the change's coefficients
            (`tfc.codec.frequency_bands`), slot max_clusters // 2 holding an exact zero.
        others: float32 arrays, all other parameters.
        scalars: float32, shape (num_scalars,).
        band_scales: In an update, uint8 (bands,) per clustered kernel: what each band's coefficients are multiplied by,
            in 64ths; empty for 1 throughout, and in messages of other kinds.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> palette = tfc.Palette(np.array([-0.5, 0.5], np.float32), np.array([[0, 1], [1, 0]], np.uint8))
        >>> message = tfc.Message(2, palettes=(palette,), others=(), scalars=np.zeros(0, np.float32))
    """

    num_clusters: Any
    palettes: tuple[Palette, ...]
    others: tuple[Any, ...]
    scalars: Any
    band_scales: tuple[Any, ...] = ()


class Decoded(NamedTuple):
    """A message and what its receiver remembers of it.

    Attributes:
        message: What the payload says.
        moves: uint8 arrays of the kernels' shapes: what each index did against the palettes held before.

    Examples:
        >>> import numpy as np
        >>> import tfc
        >>> spec = tfc.MessageSpec(kernel_shapes=(), other_shapes=((2,),), max_clusters=1)
        >>> message = tfc.Message(0, (), (np.array([1.0, 2.0], np.float32),), np.zeros(0, np.float32))
        >>> decoded = tfc.decode(tfc.encode(message, spec), spec)
        >>> decoded.message.others[0], decoded.held.others[0]
        (array([1., 2.], dtype=float32), array([1., 2.], dtype=float32))
    """

    message: Message
    moves: tuple[Any, ...]

    @property
    def held(self) -> ReferenceModel:
        """What the receiver of a broadcast holds from now on."""
        return ReferenceModel(self.message.num_clusters, self.message.palettes, self.moves, self.message.others)


def float32_message_bytes(num_parameters: int, num_scalars: int) -> int:
    """Returns the length in bytes of a message that holds every parameter as float32.

    Args:
        num_parameters: Number of parameters.
        num_scalars: Values beside the model.
    """
    return HEADER_BYTES + 4 * (num_scalars + num_parameters) + TRAILER_BYTES
