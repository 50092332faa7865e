"""The paper: what notebooks call, its sentences and tables, the live explorer, and the building of the book."""
