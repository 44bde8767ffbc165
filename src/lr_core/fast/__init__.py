"""The same networks in compiled steps, for single precision on a CPU."""
