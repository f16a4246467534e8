"""Print an access token of each of the first customers, a line each: `python -m benchmarks.tokens 100`."""

import os
import sys
from uuid import uuid4

import django


def main() -> None:
    """Sign them in, in the database that the environment names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webshop.settings")
    django.setup()
    from django.db import transaction
    from django.utils import timezone

    from shop.customers.tokens import issue
    from shop.models import Customer

    with transaction.atomic():
        for customer in Customer.objects.order_by("pk")[: int(sys.argv[1])]:
            print(issue(customer, family=uuid4(), signed_in_at=timezone.now()).access)


if __name__ == "__main__":
    main()
