"""From a hospital's own columns to the study's: names, units, impossible entries, and a report."""
