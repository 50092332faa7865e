"""The miniatures: their networks, their training from nothing, and what is measured of them."""
