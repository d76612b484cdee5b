"""What is optimised: pure functions and named weighted sums of them."""
