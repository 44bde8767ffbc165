"""Many runs: which are due and having them made (`schedule`), here (`local`) or on a cluster (`dask`)."""
