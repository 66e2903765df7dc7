"""Bytes of models and updates, with NumPy alone: devices have it. `tfc.graph_codec` is the same in TensorFlow ops."""
