"""Conversion of the images that a reader lists, locally or with Beam."""
