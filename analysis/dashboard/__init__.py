"""The live dashboard: the report's exhibits over an experiment that may still run; see docs/dashboard.md."""
