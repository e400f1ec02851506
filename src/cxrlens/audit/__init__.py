"""The audit: what a model may be using in place of the lungs, measured, with an interval and a verdict."""
