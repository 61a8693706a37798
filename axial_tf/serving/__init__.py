"""Export of trained models for TensorFlow Serving."""
