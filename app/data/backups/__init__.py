"""What keeps two copies of one store apart, and how rows get from one to the other."""
