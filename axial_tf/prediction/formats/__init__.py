"""Result files for the official evaluators."""
