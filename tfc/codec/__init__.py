"""Bytes of models and updates. The NumPy side (`palette`, `message`) needs NumPy alone; `graph` needs TensorFlow."""
