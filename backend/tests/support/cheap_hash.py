"""Settings of a server in production whose passwords cost nothing to check."""

from webshop.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
