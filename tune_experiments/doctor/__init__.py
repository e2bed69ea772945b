"""What `rcsweep doctor` checks; every check is a function that returns findings."""
