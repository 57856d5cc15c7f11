"""Overhead: what a sweep costs in which nobody is due, alone and as `amends serve` runs it, and starting the CLI."""
