"""What an operator would look at when something does not work, and what to do about it."""
