"""Reading: training code through libcst, never torch, nothing executed."""
