"""Data set specifications: categories, colors and names, without pixels."""
