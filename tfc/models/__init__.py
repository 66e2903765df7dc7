"""Keras models; `tfc.registries.MODELS` names them."""
