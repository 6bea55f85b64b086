"""One read of the logits for the sums that token-level metrics need, in C++ and Triton."""
