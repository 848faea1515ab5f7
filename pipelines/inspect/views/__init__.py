"""The views: one function each, from what is looked at and what was asked to what a template shows."""
