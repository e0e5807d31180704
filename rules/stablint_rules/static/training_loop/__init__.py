"""Faults in the order of events of a training loop: zero, backward, clip, step, schedule, log."""
