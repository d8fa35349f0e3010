"""A package as other people would make one: providers with native batches, found through their entry points."""
