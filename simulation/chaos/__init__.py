"""Chaos: a small real federation is hurt on purpose, one fault a run, and its results are judged.

See docs/reliability.md.
"""
