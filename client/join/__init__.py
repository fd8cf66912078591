"""How a hospital joins a federation, changes its node key, and signs the roster."""
