"""The audit of a finished run: its files in, `audit.json` and the audit's figures out."""
