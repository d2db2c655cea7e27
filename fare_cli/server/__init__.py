"""What listens: on this machine alone, for whoever knows the address."""
