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

from tfc.codec.message_decoding import decode as decode
from tfc.codec.message_encoding import encode as encode
from tfc.codec.message_encoding import encode_seed as encode_seed
