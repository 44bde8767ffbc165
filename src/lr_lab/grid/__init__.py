"""Many runs: which are due (`plan`), having them made (`schedule`), here (`local`) or on a cluster (`dask`)."""
