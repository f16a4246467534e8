"""The configuration; every variable is documented in docs/SETUP_COMPLETE.md."""

import re
import warnings
from importlib.util import find_spec

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from .environment import (
    BASE_DIR,
    env_cache_url,
    env_choice,
    env_currency,
    env_flag,
    env_list,
    env_number,
    env_origin,
    env_origins,
    env_port,
    env_secret,
    env_secrets,
    environment,
    quickstart_has_ended,
)
from .sentry import report_to

DEBUG = env_flag("DEBUG")

SECRET_KEY = env_secret("DJANGO_SECRET_KEY")
# Keys of before: what was signed with them is still read.
SECRET_KEY_FALLBACKS = env_secrets("DJANGO_SECRET_KEY_FALLBACKS")
PLACEHOLDER = re.compile("|your-secret-key|changeme|django-insecure.*|<.*", re.DOTALL)
if DEBUG:
    SECRET_KEY = SECRET_KEY or "django-insecure-development-only"
elif PLACEHOLDER.fullmatch(SECRET_KEY):
    message = "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop"
    if quickstart_has_ended:
        message = "quickstart is not running: start it (manage.py quickstart), or set DJANGO_SECRET_KEY"
    raise ImproperlyConfigured(message)
elif any(map(PLACEHOLDER.fullmatch, SECRET_KEY_FALLBACKS)):
    message = "DJANGO_SECRET_KEY_FALLBACKS holds a placeholder: leave it out"
    raise ImproperlyConfigured(message)

ALLOWED_HOSTS = env_list("DJANGO_ALLOWED_HOSTS")
if not DEBUG and not ALLOWED_HOSTS:
    message = "DJANGO_ALLOWED_HOSTS is missing: name the shop's hosts, such as yourdomain.com"
    raise ImproperlyConfigured(message)

# Who may call the endpoints that show customers or revenue: everybody, or signed-in staff.
SHOP_API_AUTH = env_choice("SHOP_API_AUTH", ("open", "required"), default="open" if DEBUG else "required")

# Whether callers are limited in how much they may ask: off for tests and benchmarks alone.
SHOP_RATE_LIMITS = env_choice("SHOP_RATE_LIMITS", ("on", "off"), default="on")

# The language whose stemmer and stop words the search goes by.
SHOP_LANGUAGE = env_choice("SHOP_LANGUAGE", ("en", "de"), default="en")

# For how many seconds an answer that shows no customer may be given again; with 0 a GET shows the last write.
SHOP_CACHE_SECONDS = env_number("SHOP_CACHE_SECONDS", default=0, highest=3600)

# Behind a proxy that ends TLS and sets X-Forwarded-Proto. Off, plain http works.
if env_flag("DJANGO_HTTPS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    # For the list that browsers come with. It takes months to leave that, so it has a switch of its own.
    SECURE_HSTS_PRELOAD = env_flag("DJANGO_HSTS_PRELOAD")
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# It warns of a shop that is not on that list.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

# Nothing but a proxy that sets X-Forwarded-For and X-Request-ID itself can reach the shop: both are trusted.
BEHIND_PROXY = env_flag("DJANGO_BEHIND_PROXY")

INSTALLED_APPS = [
    "shop",
    "webshop.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "webshop.operations.operations",
    "webshop.observe.observe",
    "shop.api.routing.json_api",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "webshop.middleware.refuse_unstorable_text",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# Pages take everything from the shop itself, and no script or style that stands in the page.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],  # icons in the admin's styles
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

# From these origins forms may be sent, besides the one that a page came from.
CSRF_TRUSTED_ORIGINS = env_origins("DJANGO_CSRF_TRUSTED_ORIGINS")

CSRF_FAILURE_VIEW = "webshop.middleware.csrf_failure"

# On pages of these origins scripts may call the API, with tokens, not with cookies.
CORS_ALLOWED_ORIGINS = env_origins("DJANGO_CORS_ORIGINS")
if CORS_ALLOWED_ORIGINS:
    INSTALLED_APPS.append("corsheaders")
    # Before json_api, which refuses OPTIONS.
    MIDDLEWARE.insert(MIDDLEWARE.index("shop.api.routing.json_api"), "corsheaders.middleware.CorsMiddleware")
    CORS_URLS_REGEX = "^/shop/api/"
    CORS_ALLOW_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    CORS_ALLOW_HEADERS = ("authorization", "content-type", "idempotency-key", "if-none-match")
    CORS_EXPOSE_HEADERS = (
        *("ETag", "Link", "X-Total-Count", "Age", "Retry-After", "X-Request-ID"),
        *("Location", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"),
    )

if DEBUG:
    below_policy = MIDDLEWARE.index("csp.middleware.CSPMiddleware") + 1
    MIDDLEWARE.insert(below_policy, "webshop.middleware.debug_pages")
if DEBUG and find_spec("debug_toolbar"):
    INSTALLED_APPS.append("debug_toolbar")
    # Within the policy's middleware, which it asks for a nonce.
    MIDDLEWARE.insert(below_policy, "debug_toolbar.middleware.DebugToolbarMiddleware")
    DEBUG_TOOLBAR_CONFIG = {
        # In a container the address of the browser is not known.
        "SHOW_TOOLBAR_CALLBACK": lambda _: True,
        # Open, it lies over buttons and filters.
        "SHOW_COLLAPSED": True,
    }

ROOT_URLCONF = "webshop.urls"
WSGI_APPLICATION = "webshop.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "shop.admin.inputs.InputRenderer"

env_choice("DATABASE_ENGINE", ("postgresql",), default="postgresql")
DATABASE_PASSWORD = env_secret("DATABASE_PASSWORD")
if DATABASE_PASSWORD.startswith("<"):
    message = "DATABASE_PASSWORD is a placeholder: set a long random one"
    raise ImproperlyConfigured(message)

# A host that vanished is noticed in less than 4 seconds: 1.4 by a connection to it, 2 by a new one. Less
# would be too little for the first requests of a server, which connect all threads at the same moment.
CONNECTING = {
    "connect_timeout": 2,
    "tcp_user_timeout": 1000,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": environment.get("DATABASE_NAME") or "webshop_db",
        "USER": environment.get("DATABASE_USERNAME") or "webshop_user",
        "PASSWORD": DATABASE_PASSWORD,
        "HOST": environment.get("DATABASE_HOST") or "localhost",
        "PORT": env_port("DATABASE_PORT", default="5432"),
        # A new connection costs more than most requests; the health check replaces one that died.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # With a pooler that changes the connection at each transaction, nothing may be kept on one.
        "DISABLE_SERVER_SIDE_CURSORS": env_flag("DATABASE_TRANSACTION_POOLER"),
        "OPTIONS": CONNECTING,
    },
}

# A hot standby, which the endpoints read from while it shows what was committed so many seconds ago.
DATABASE_REPLICA_MAX_LAG = env_number("DATABASE_REPLICA_MAX_LAG", default=10, lowest=1, highest=3600)
if environment.get("DATABASE_REPLICA_HOST"):
    DATABASES["replica"] = {
        **DATABASES["default"],
        "HOST": environment["DATABASE_REPLICA_HOST"],
        # After a lost connection the primary is asked, and after one second without a new one.
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {**CONNECTING, "connect_timeout": 1},
        "TEST": {"MIRROR": "default"},
    }
    DATABASE_ROUTERS = ["shop.database.standby.Router"]

# Every process keeps its own, unless there is one for all; 300 entries, the default, are few for counters.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "MAX_ENTRIES": 10_000}}
if CACHE_URL := env_cache_url("DJANGO_CACHE_URL"):
    CACHES["own"] = CACHES["default"]
    CACHES["default"] = {
        "BACKEND": "shop.database.cache.SharedCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": "webshop",
    }

# A line of an order is up to nine fields of its form in the admin, which may have 1,000 lines.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000

# Whoever signs in with a next page that is none of the shop's goes there.
LOGIN_REDIRECT_URL = "admin:index"

# So many years after an order name and address of its delivery are kept, as § 147 AO wants it of the books.
SHOP_KEEP_YEARS = env_number("SHOP_KEEP_YEARS", default=8, lowest=1, highest=100)

# Work that waits is rows in PostgreSQL, done by `manage.py run_jobs`; what moves money is never given up.
TASKS = {
    "default": {
        "BACKEND": "shop.jobs.backend.PostgresBackend",
        "QUEUES": ["default", "mail", "money", "asking"],
    }
}

# Where mail goes out. Without a server development prints it, and production sends none.
EMAIL_HOST = environment.get("EMAIL_HOST", "")
EMAIL_PORT = int(env_port("EMAIL_PORT", default="25"))
EMAIL_HOST_USER = environment.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env_flag("EMAIL_USE_TLS")
DEFAULT_FROM_EMAIL = environment.get("SHOP_EMAIL_FROM") or "webshop@localhost"
EMAIL_TIMEOUT = 10
# Who sells, to be told in every mail; and who of the staff is told what runs short, or goes wrong.
SHOP_SELLER = environment.get("SHOP_SELLER", "").replace("\\n", "\n") or "Webshop"
SHOP_STAFF_EMAIL = env_list("SHOP_STAFF_EMAIL")

# What prices are in, and how much of them is VAT, in percent.
SHOP_CURRENCY = env_currency("SHOP_CURRENCY")
SHOP_VAT_RATE = env_number("SHOP_VAT_RATE", default=19, highest=99)

# The address that links are made of: the Host of a request is what its sender likes.
SHOP_URL = env_origin("SHOP_URL")
# Who lets customers pay, and within how many hours of an order: a page of Stripe's lives for 24.
SHOP_PAYMENT = env_choice("SHOP_PAYMENT", ("invoice", "test", "stripe"), default="invoice")
SHOP_PAYMENT_HOURS = env_number("SHOP_PAYMENT_HOURS", default=23, lowest=1, highest=23)
if SHOP_PAYMENT == "test" and not DEBUG and not env_flag("SHOP_PAYMENT_TEST"):
    message = "SHOP_PAYMENT=test takes no money: it is for DEBUG=1, or with SHOP_PAYMENT_TEST=1"
    raise ImproperlyConfigured(message)
# So many days after an order was shipped it is completed.
SHOP_COMPLETE_DAYS = env_number("SHOP_COMPLETE_DAYS", default=14, lowest=1, highest=365)
STRIPE_SECRET_KEY = env_secret("STRIPE_SECRET_KEY")
# While a new one takes over from an old one there are two.
STRIPE_WEBHOOK_SECRETS = env_secrets("STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = env_origin("STRIPE_API_BASE") or "https://api.stripe.com"
if SHOP_PAYMENT == "stripe" and not (STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRETS and SHOP_URL):
    message = "SHOP_PAYMENT=stripe needs STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET and SHOP_URL"
    raise ImproperlyConfigured(message)
# Also a shop that takes no new payments by Stripe hears of the old ones, and gives them back.
if (STRIPE_SECRET_KEY or STRIPE_WEBHOOK_SECRETS) and not find_spec("stripe"):
    message = "STRIPE_SECRET_KEY or STRIPE_WEBHOOK_SECRET is set: install stripe, uv sync --extra stripe"
    raise ImproperlyConfigured(message)
if DEBUG and not EMAIL_HOST:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# The admin is styled with DEBUG=0 whether or not collectstatic was run.
WHITENOISE_USE_FINDERS = True
warnings.filterwarnings("ignore", message="No directory at: .*staticfiles")

if sentry_dsn := env_secret("SENTRY_DSN"):
    report_to(sentry_dsn)

# Development's log is for people, production's for programs. The log of a container is its stdout and stderr.
LOG_LEVELS = {
    **{name: {"level": "INFO"} for name in ("django", "shop", "webshop")},
    # It warns that an answer to HEAD has a body, and takes that off.
    "gunicorn.http.wsgi": {"level": "ERROR"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {
            "()": "django.utils.log.CallbackFilter",
            "callback": "ext://webshop.observe.with_request_id",
        },
        "failures": {"()": "django.utils.log.CallbackFilter", "callback": "ext://webshop.logs.is_failure"},
    },
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {"()": "webshop.logs.json_lines"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line" if DEBUG else "json",
            "filters": ["request_id"],
        },
        "null": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **LOG_LEVELS,
        "webshop.request": {"level": "WARNING"},  # runserver writes a line of its own
    },
}
if not DEBUG:
    LOGGING["loggers"] = {
        **LOG_LEVELS,
        "webshop.request": {"level": "INFO"},  # webshop/observe.py writes it to stdout
        # All but its traceback stands in the line of the request.
        "django.request": {"filters": ["failures"]},
        # What a caller did wrong; some of it quotes headers.
        "django.security": {"handlers": ["null"], "propagate": False},
    }
