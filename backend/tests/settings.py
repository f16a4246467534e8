"""The settings of the tests: production's, on the database that conftest.py starts."""

import os

os.environ["DJANGO_SECRET_KEY"] = "of the tests"
os.environ["DJANGO_SECRET_KEY_FILE"] = ""
os.environ["DJANGO_ALLOWED_HOSTS"] = "localhost,127.0.0.1"
os.environ["SHOP_API_AUTH"] = "open"
os.environ["DJANGO_HTTPS"] = "0"
os.environ["DJANGO_BEHIND_PROXY"] = "0"
os.environ["DJANGO_CORS_ORIGINS"] = ""
os.environ["DEBUG"] = "0"
os.environ["SENTRY_DSN"] = ""
os.environ["SHOP_CACHE_SECONDS"] = "0"
os.environ["SHOP_LANGUAGE"] = "en"
os.environ["SHOP_RATE_LIMITS"] = "on"
os.environ["EMAIL_HOST"] = ""
os.environ["SHOP_PAYMENT"] = "invoice"
os.environ["DJANGO_CACHE_URL"] = ""
os.environ["DATABASE_TRANSACTION_POOLER"] = "0"
os.environ["DATABASE_REPLICA_HOST"] = ""

from webshop.settings import *  # noqa: F403
from webshop.settings import DATABASES

# A thread of the live server that kept its connection would keep the database from being dropped in the end.
DATABASES["default"]["CONN_MAX_AGE"] = 0

# A hash of production costs half a second; the second makes and checks the one of the sample data.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "tests.support.hashing.RememberingPBKDF2PasswordHasher",
]

# Otherwise every new Client() reads all static files.
WHITENOISE_AUTOREFRESH = True

TEST_RUNNER = "tests.support.runner.PytestRunner"
