"""What runs at a hospital: its table, its patients, its answers to the coordinator."""
