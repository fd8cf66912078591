"""Attacks on the protections, run against the real code: what they find is a bug."""
