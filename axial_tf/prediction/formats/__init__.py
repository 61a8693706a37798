"""Result files as the official evaluators take them."""
