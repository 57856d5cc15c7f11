"""Benchmarks: one command each, side by side in one run, medians and ratios; they assert nothing."""
