"""Faults that cut, freeze or lose gradients without a word."""
