"""From a study to a run folder, stage by stage; each stage leaves files, so any of them runs again alone."""
