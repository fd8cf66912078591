"""The coordinator's side: rounds, aggregation, the initialization and its state."""
