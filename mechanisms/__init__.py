"""How an exact integer is blurred. The only room with randomness, and the only import of OpenDP."""
