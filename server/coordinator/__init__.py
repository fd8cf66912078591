"""A coordinator's folder, its invitations, and the one port that the network sees."""
