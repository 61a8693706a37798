"""Residual blocks: around attention, convolutions or both."""
