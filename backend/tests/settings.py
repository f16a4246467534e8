"""The settings of the tests: production's, on the database that conftest.py starts."""

import os

os.environ.setdefault("DJANGO_SECRET_KEY", "of the tests")
os.environ.setdefault("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1")
os.environ["SHOP_API_AUTH"] = "open"
os.environ["DEBUG"] = "0"

from webshop.settings import *  # noqa: F403

TEST_RUNNER = "tests.runner.PytestRunner"
