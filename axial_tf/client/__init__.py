"""Client of a TF Serving that runs an exported model; no TensorFlow."""
