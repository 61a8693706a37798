"""Plans an experiment: facts of data and machine, rules, and a gin file."""
