"""Federations on one machine: data sets, scenarios and their evaluation."""
