"""What the paper says in numbers: which runs it shows, the original's values, and what follows from both."""
