"""The property test of the numbers: N replicas train what one device trains with the global batch."""
