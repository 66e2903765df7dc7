"""The message format in TensorFlow ops, for TFF computations: module by module the twin of NumPy's side."""

from tfc.graph_codec import seed_model
from tfc.graph_codec.checksum import adler32
from tfc.graph_codec.dequantize import dequantize
from tfc.graph_codec.message import decode, encode, encode_seed, remember

__all__ = ["adler32", "decode", "dequantize", "encode", "encode_seed", "remember", "seed_model"]
