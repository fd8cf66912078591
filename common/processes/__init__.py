"""Child processes: how a service starts, hears, restarts and ends them."""
