"""The commands of `seedbed`, by what one wants of them. Each imports what is heavy when it runs."""
