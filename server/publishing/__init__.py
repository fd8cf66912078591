"""From a run folder to the folder that a federation publishes."""
