"""Conversion of what a reader lists into shards, locally or by Beam."""
