"""Checking files in other processes, where one that kills or hangs its process costs only itself."""
