"""Real process managers with programs of the tests' own, and the drivers that restart them."""
