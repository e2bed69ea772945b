"""From an experiment directory to tables, figures and a report; imports neither torch nor Ray."""
