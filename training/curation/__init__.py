"""Records of many sources made into one training set: filters that each say what they dropped, and why."""
