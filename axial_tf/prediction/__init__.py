"""Predictors in Python, and the files that predictions are written to."""
