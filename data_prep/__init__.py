"""Converters from published data sets to TFRecord shards."""
