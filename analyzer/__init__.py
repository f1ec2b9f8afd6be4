"""What a question means and what it may reveal. Pure: no I/O, no clock, no framework, no
randomness."""
