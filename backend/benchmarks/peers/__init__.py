"""The same eight endpoints, written with something else; each is one file."""
