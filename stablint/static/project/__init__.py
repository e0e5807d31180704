"""The other files of a project: where an import leads, and what is read there."""
