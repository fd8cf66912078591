"""The gate between the network and a hospital's patients, and the log of what passed it."""
