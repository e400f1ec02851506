"""The stage "explain": Figures 1 to 3 and the spectra of a run; `stage` makes those that the study names."""
