"""Federated meta-learning algorithms, one module each.

The way to add one is `common.algorithms.base.Algorithm`: make a value of it and name it under the
entry point group `wardround.algorithms`. Ours are added in the same way.
"""
