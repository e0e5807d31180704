"""Faults in what a module registers and in which mode it runs."""
