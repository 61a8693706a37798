"""Readers of published data sets and of users' own."""
