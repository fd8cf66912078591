"""What would leave this hospital: one round, computed offline, byte for byte."""
