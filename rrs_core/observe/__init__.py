"""What comes in: observation files, their headers, guards and cadences. Only this wing opens them."""
