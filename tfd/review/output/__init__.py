"""What a review prints: comment, terminal, JSON."""
