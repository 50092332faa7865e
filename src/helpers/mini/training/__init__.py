"""Training of the miniatures: one module a kind of network, what they share, and the order in which all are made."""
