"""How numbers are written, and phrases and sentences that are made from them."""
