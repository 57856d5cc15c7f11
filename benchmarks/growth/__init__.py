"""What a sweep over the same due cases costs with more and more idle ones around them."""
