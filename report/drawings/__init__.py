"""The figures, and what draws them."""
