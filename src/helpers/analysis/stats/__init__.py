"""Statistics that know nothing of this study: arrays in, estimates with intervals out."""
