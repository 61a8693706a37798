"""Predictors in Python, and writers of result files."""
