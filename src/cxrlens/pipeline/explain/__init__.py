"""Fourth stage: what the networks look at. One file a figure; `stage` makes those that a study asks for."""
