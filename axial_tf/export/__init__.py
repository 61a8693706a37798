"""SavedModels for TF Serving; TFLite and ONNX files."""
