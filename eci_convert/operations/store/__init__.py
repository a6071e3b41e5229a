"""What is done to stores of several images."""
