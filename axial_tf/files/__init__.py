"""Paths, and files of every kind: text, JSON, images, locks, model folders."""
