"""Coded forms of a model's change that other methods than FedCompress send, in TensorFlow ops.

`message` surrounds what a codec writes with a header, scalars and a checksum; `codec` says what a codec is.
"""
