"""The message format in TensorFlow ops, for TFF computations: module by module the twin of NumPy's side."""

from tfc.codec.graph import seed_model
from tfc.codec.graph.checksum import adler32
from tfc.codec.graph.dequantize import dequantize
from tfc.codec.graph.message import decode, encode, encode_seed, remember

__all__ = ["adler32", "decode", "dequantize", "encode", "encode_seed", "remember", "seed_model"]
