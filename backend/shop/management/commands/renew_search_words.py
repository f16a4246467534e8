"""`manage.py renew_search_words`: what was typed is corrected to the words that the products have now."""

from typing import Any

from django.core.management.base import BaseCommand

from shop.catalog.search import renew_words


class Command(BaseCommand):
    """Renew them, and say in one line how many they are."""

    help = "Makes the words that the search corrects to those of the products' names."

    def handle(self, **_: Any) -> None:
        self.stdout.write(f"The search knows {renew_words()} words.")
