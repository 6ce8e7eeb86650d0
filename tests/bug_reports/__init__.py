"""Tasks of public bug reports, as their users wrote them."""
