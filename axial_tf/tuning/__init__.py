"""Searches merging settings and views on the validation images of a run."""
