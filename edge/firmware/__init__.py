"""What a firmware with TensorFlow Lite for Microcontrollers needs of a model, as C++ files. NumPy alone."""
