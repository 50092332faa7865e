"""Stages of a run past the scores: each measures or scores images again, kept part by part, merged into a table."""
