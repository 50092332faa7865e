"""What is done to pixels and read from them: perturbations, the protocols of showing, spectra. No torch."""
