"""The same federated round on other engines, to be timed beside this project's own."""
