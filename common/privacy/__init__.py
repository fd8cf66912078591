"""Protection of updates inside the hospital. What it does not yet give stands in LIMITATIONS.md."""
