"""Payment of orders: the providers, what they say, and what becomes of it."""
