"""Export of palettized models to TFLite, and their measurement on devices.

`edge.runtime` and `edge.bench` need NumPy and a TFLite interpreter alone; `edge.export` needs TensorFlow.
"""
