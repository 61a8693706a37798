"""Weights that other implementations have published, for our models."""
