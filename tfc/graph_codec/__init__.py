"""The message format in TensorFlow ops, for TFF computations: module by module the twin of NumPy's side.

Whatever depends on a tensor's value is an op here, never Python's `if` or `for`: so AutoGraph has nothing to convert,
and its doors keep it out, which takes a quarter off the time until a process is built.
"""

from tfc.graph_codec import seed_model
from tfc.graph_codec.checksum import adler32
from tfc.graph_codec.dequantize import dequantize
from tfc.graph_codec.message_decoding import decode, remember
from tfc.graph_codec.message_encoding import encode, encode_seed

__all__ = ["adler32", "decode", "dequantize", "encode", "encode_seed", "remember", "seed_model"]
