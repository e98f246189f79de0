"""Measurements of Forewarn beside the baselines they are judged by: `python -m benchmarks`."""
