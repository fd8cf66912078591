"""What could keep a node from taking part, found before a round is lost to it."""
