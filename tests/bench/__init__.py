"""Benchmarks: ours beside the tool that people use today, in turns, in one run; `python -m tests.bench`."""
