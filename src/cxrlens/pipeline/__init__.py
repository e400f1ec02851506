"""Runs a study stage by stage into its run folder. Each stage writes files, so that any stage can run again alone."""
