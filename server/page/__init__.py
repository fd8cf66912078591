"""The live page of a study: one run folder, read as it grows, shown to people and to Prometheus."""
