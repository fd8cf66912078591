"""The red team: what a coordinator, hospitals and outsiders could do, tried against our code."""
