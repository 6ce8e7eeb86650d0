"""What a review concludes from it."""
