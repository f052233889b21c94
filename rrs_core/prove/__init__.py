"""How good it is: numbers in, numbers out."""
