"""The sample shop: the rows of the specification's examples, and seeded Faker around them.

Every call gives the same rows, in the order of their ids. `02_insert_sample_data.sql` holds them as SQL.
"""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from django.contrib.auth.hashers import make_password
from django.core.management.base import CommandError
from django.utils.text import slugify

from shop.models import Cart, CartItem, Category, Customer, Order, OrderItem, OrderStatus, Product

try:
    from faker import Faker
except ModuleNotFoundError:
    raise CommandError("the sample data needs Faker: install the dev dependencies") from None

PASSWORD = "customer123"  # noqa: S105 - of every sample customer, documented
SALT = "webshop-sample"  # fixed, so that the hash is the same each time

TODAY = datetime.date(2025, 11, 26)
CATEGORIES = (
    "Home", "Electronics", "Garden", "Books", "Movies", "Music", "Games", "Computers", "Tools", "Grocery",
    "Health", "Beauty", "Toys", "Kids", "Baby", "Clothing", "Shoes", "Jewelry", "Sports", "Outdoors",
    "Automotive", "Industrial",
)  # fmt: skip
ADJECTIVES = (
    "Elegant",
    "Handmade",
    "Rustic",
    "Refined",
    "Sleek",
    "Gorgeous",
    "Practical",
    "Modern",
    "Recycled",
)
MATERIALS = ("Marble", "Wooden", "Oak", "Steel", "Cotton", "Granite", "Bamboo", "Bronze", "Ceramic", "Rubber")
THINGS = (
    "Gloves",
    "Computer",
    "Bench",
    "Lamp",
    "Chair",
    "Table",
    "Towels",
    "Bike",
    "Keyboard",
    "Hat",
    "Shirt",
    "Ball",
)
ELECTRONICS = 15
ELECTRONICS_STOCK = 450
ELECTRONICS_CENTS = ELECTRONICS * 525_75
OTHER_PRODUCTS = 5
GLOVES_SOLD = 150


@dataclass
class SampleShop:
    """The rows of the seven tables, unsaved and tied to each other, parents first."""

    categories: list[Category]
    products: list[Product]
    customers: list[Customer]
    orders: list[Order]
    order_items: list[OrderItem]
    carts: list[Cart]
    cart_items: list[CartItem]


def sample_shop() -> SampleShop:
    """Return the sample shop: 22 categories, 120 products, 100 customers, 300 orders and 50 carts."""
    fake = Faker("de_DE")
    fake.seed_instance(20251126)
    random = fake.random
    categories = [Category(category_name=name) for name in CATEGORIES]
    products = make_products(categories, random)
    customers = make_customers(fake)
    orders, order_items = make_orders(customers, products, random)
    carts, cart_items = make_carts(customers, products, random)
    return SampleShop(categories, products, customers, orders, order_items, carts, cart_items)


def make_products(categories: list[Category], random: Random) -> list[Product]:
    """Return 15 products of Electronics and 5 of each other category, the specification's first."""
    home, electronics, garden, *_ = categories
    examples = [
        Product(name="Elegant Marble Gloves", price=money(235_99), stock=58, category=home),
        Product(name="Rustic Oak Bench", price=money(438_67), stock=14, category=garden),
        Product(name="Handmade Wooden Computer", price=money(369_35), stock=2, category=electronics),
        Product(name="Refined Steel Lamp", price=money(507_09), stock=31, category=home),
    ]
    places = [category for category in categories for _ in range(OTHER_PRODUCTS)]
    places += [electronics] * (ELECTRONICS - OTHER_PRODUCTS)
    for product in examples:
        places.remove(product.category)
    random.shuffle(places)
    names = [
        f"{adjective} {material} {thing}"
        for adjective in ADJECTIVES
        for material in MATERIALS
        for thing in THINGS
    ]
    for product in examples:
        names.remove(product.name)
    prices = scatter(ELECTRONICS_CENTS - 369_35, ELECTRONICS - 1, 150_00, random)
    stocks = scatter(ELECTRONICS_STOCK - 2, ELECTRONICS - 1, 18, random)
    products = []
    for place, name in zip(places, random.sample(names, len(places)), strict=True):
        if place is electronics:
            price, stock = prices.pop(), stocks.pop()
        else:
            price, stock = likely_price(random), likely_stock(random)
        products.append(Product(name=name, price=money(price), stock=stock, category=place))
    for product in examples + products:
        product.description = f"{product.name} from our {product.category.category_name} range."
    return examples + products


def likely_price(random: Random) -> int:
    """Return a price in cents that looks like one, from 4.49 to 249.99."""
    return random.randint(4, 249) * 100 + random.choice((49, 90, 95, 99))


def likely_stock(random: Random) -> int:
    """Return the stock of a product, below 10 for one in ten."""
    return random.choice((0, 4, 7, 9)) if random.random() < 0.1 else random.randint(10, 120)


def scatter(total: int, count: int, spread: int, random: Random) -> list[int]:
    """Return an even number of integers that add up to total, each within spread of their mean or so."""
    numbers = [total // count] * count
    numbers[0] += total % count
    for i in range(0, count, 2):
        shift = random.randint(0, spread)
        numbers[i] += shift
        numbers[i + 1] -= shift
    return numbers


def make_customers(fake: Faker) -> list[Customer]:
    """Return 100 customers, Deborah Bruen first."""
    password = make_password(PASSWORD, salt=SALT, hasher="pbkdf2_sha256")
    names = [("Deborah", "Bruen")] + [(fake.first_name(), fake.last_name()) for _ in range(99)]
    customers, emails = [], set()
    for first_name, last_name in names:
        email = address = slugify(f"{first_name} {last_name}".replace("ß", "ss")).replace("-", ".")
        while email in emails:
            email = f"{address}{fake.random.randint(2, 99)}"
        emails.add(email)
        customers.append(
            Customer(
                first_name=first_name,
                last_name=last_name,
                email=f"{email}@example.com",
                password=password,
                strasse=fake.street_address(),
                ort=fake.city_name(),
                plz=fake.postcode(),
            )
        )
    return customers


def make_orders(
    customers: list[Customer], products: list[Product], random: Random
) -> tuple[list[Order], list[OrderItem]]:
    """Return 300 orders and their lines: five of Deborah's for 4553.25, and 150 gloves sold in all."""
    gloves, bench, computer, lamp, *others = products
    deborah, *buyers, _ = customers  # the last customer never ordered
    baskets = [
        (deborah, TODAY, [(gloves, 2), (bench, 1)]),
        (deborah, TODAY - datetime.timedelta(days=31), [(computer, 1), (bench, 1)]),
        (deborah, TODAY - datetime.timedelta(days=77), [(gloves, 1), (computer, 1)]),
        (deborah, TODAY - datetime.timedelta(days=140), [(gloves, 3)]),
        (deborah, TODAY - datetime.timedelta(days=202), [(lamp, 3)]),
    ]
    for _ in range(295):
        date = TODAY - datetime.timedelta(days=random.randint(0, 364))
        lines = [(product, random.randint(1, 3)) for product in random.sample(others, random.randint(1, 4))]
        baskets.append((random.choice(buyers), date, lines))
    sold = 6
    for _, _, lines in random.sample(baskets[5:], (GLOVES_SOLD - sold) // 2):
        lines.insert(0, (gloves, 2))
    orders, items = [], []
    for customer, date, lines in baskets:
        total = sum((product.price * quantity for product, quantity in lines), start=Decimal(0))
        status = OrderStatus.COMPLETED if customer is deborah else likely_status(date, random)
        order = Order(customer=customer, order_date=date, status=status, total_amount=total)
        orders.append(order)
        items += [
            OrderItem(order=order, product=product, quantity=quantity, price_per_unit=product.price)
            for product, quantity in lines
        ]
    return orders, items


def likely_status(date: datetime.date, random: Random) -> OrderStatus:
    """Return a status for an order of that day: recent ones are open, old ones closed."""
    if random.random() < 0.06:
        return OrderStatus.CANCELLED
    if date < TODAY - datetime.timedelta(days=30):
        return OrderStatus.COMPLETED
    return random.choice((OrderStatus.PENDING, OrderStatus.PROCESSING, OrderStatus.SHIPPED))


def make_carts(
    customers: list[Customer], products: list[Product], random: Random
) -> tuple[list[Cart], list[CartItem]]:
    """Return 50 carts and their lines: two computers in Deborah's, nothing in the last."""
    now = datetime.datetime.combine(TODAY, datetime.time(18), tzinfo=datetime.UTC)
    carts, items = [], []
    for customer in customers[:50]:
        cart = Cart(
            customer=customer, last_updated=now - datetime.timedelta(minutes=random.randint(0, 20_000))
        )
        carts.append(cart)
        for product in random.sample(products, random.randint(1, 4)):
            items.append(CartItem(cart=cart, product=product, quantity=random.randint(1, 3)))
    items = [item for item in items if item.cart not in (carts[0], carts[-1])]
    return carts, [CartItem(cart=carts[0], product=products[2], quantity=2), *items]


def money(cents: int) -> Decimal:
    """Return an amount with two decimals."""
    return Decimal(cents).scaleb(-2)
