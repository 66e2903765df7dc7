"""Keras models to .tflite variants; needs TensorFlow."""
