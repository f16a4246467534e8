"""Hashes of production, each made once."""

from functools import cache

from django.contrib.auth.hashers import PBKDF2PasswordHasher

encode = cache(PBKDF2PasswordHasher().encode)


class RememberingPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """All customers of the sample shop have the same password and salt, and many tests load it."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return encode(password, salt, iterations)
