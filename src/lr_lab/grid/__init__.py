"""Many runs: which are due (`plan`), making them (`schedule`), on this machine (`local`) or on a cluster (`dask`)."""
