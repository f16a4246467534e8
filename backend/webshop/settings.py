"""The configuration: read from the environment, strict about what it reads.

Every variable is documented in docs/SETUP_COMPLETE.md. A value that cannot be meant is refused with one line.
"""

import os
import re
import warnings
from collections import ChainMap
from importlib.util import find_spec
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from .sentry import report_to

BASE_DIR = Path(__file__).resolve().parent.parent


def read_env_file(path: Path) -> dict[str, str]:
    """Return the NAME=value lines of an env file; none when there is no file. `#` starts a comment line.

    Raises ImproperlyConfigured for a file that cannot be read and a line that is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {error}"
        raise ImproperlyConfigured(message) from None
    found = {}
    for number, line in enumerate(lines, start=1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not name or name.startswith("#"):
            continue
        if not equals:
            message = f"{path}, line {number}: NAME=value is expected"
            raise ImproperlyConfigured(message)
        value = value.strip()
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        found[name.strip()] = value[1:-1] if quoted else value
    return found


# The real environment wins over backend/.env.
environment = ChainMap(dict(os.environ), read_env_file(BASE_DIR / ".env"))
if not environment.keys() & {"DATABASE_HOST", "DJANGO_SECRET_KEY", "DJANGO_SECRET_KEY_FILE"}:
    # Nobody says what to run: it is the development shop that `manage.py quickstart` runs here, if it does.
    environment.maps.insert(1, read_env_file(BASE_DIR / ".postgres" / "env"))


def env_choice(name: str, choices: tuple[str, ...], default: str) -> str:
    """Return the value of a variable that knows only these choices."""
    value = environment.get(name) or default
    if value not in choices:
        message = f"{name} must be {' or '.join(choices)}, not {value!r}"
        raise ImproperlyConfigured(message)
    return value


def env_flag(name: str) -> bool:
    """Return a switch: 1 is on; 0, empty or unset is off."""
    return env_choice(name, ("0", "1"), default="0") == "1"


def env_port(name: str, default: str) -> str:
    """Return a TCP port."""
    value = environment.get(name) or default
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65536):
        message = f"{name} must be a port from 1 to 65535, not {value!r}"
        raise ImproperlyConfigured(message)
    return value


def env_number(name: str, default: int, highest: int, lowest: int = 0) -> int:
    """Return a whole number in this range."""
    value = environment.get(name) or str(default)
    if not (value.isascii() and value.isdecimal() and lowest <= int(value) <= highest):
        message = f"{name} must be a whole number from {lowest} to {highest}, not {value!r}"
        raise ImproperlyConfigured(message)
    return int(value)


def env_cache_url(name: str) -> str:
    """Return the address of a Valkey, redis://host:port/db; empty when there is none."""
    value = environment.get(name, "")
    parts = re.fullmatch(r"redis://[\w.-]+:(\d{1,5})/\d{1,3}", value, re.ASCII)
    if value and not (parts and 0 < int(parts[1]) < 65536):
        message = f"{name} must be redis://host:port/db"  # the value may hold a password
        raise ImproperlyConfigured(message)
    return value


def env_list(name: str) -> list[str]:
    """Return a comma-separated list."""
    return [item.strip() for item in environment.get(name, "").split(",") if item.strip()]


def env_origins(name: str) -> list[str]:
    """Return a comma-separated list of origins as browsers send them: scheme and host, perhaps a port."""
    origins = env_list(name)
    for origin in origins:
        if not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", origin):
            message = f"{name} must hold origins such as https://shop.example, not {origin!r}"
            raise ImproperlyConfigured(message)
    return origins


def env_secret(name: str) -> str:
    """Return a variable, or without one the content of the file that NAME_FILE names, as of a Docker secret.

    The newline at the file's end does not count. Without either it is "".
    """
    value, path = environment.get(name, ""), environment.get(f"{name}_FILE", "")
    if not path:
        return value
    if value:
        message = f"{name} and {name}_FILE are both set: set one"
        raise ImproperlyConfigured(message)
    try:
        value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        problem = "" if value else "it is empty"
    except OSError as error:
        problem = str(error.strerror)
    except UnicodeDecodeError:
        problem = "it is no UTF-8 text"  # the error itself shows some of it
    if problem:
        message = f"{name}_FILE: {path} cannot be read: {problem}"
        raise ImproperlyConfigured(message)
    return value


DEBUG = env_flag("DEBUG")

SECRET_KEY = env_secret("DJANGO_SECRET_KEY")
PLACEHOLDER_KEYS = ("", "your-secret-key", "<generate-strong-random-key>", "changeme")
if DEBUG:
    SECRET_KEY = SECRET_KEY or "django-insecure-development-only"
elif SECRET_KEY in PLACEHOLDER_KEYS or SECRET_KEY.startswith(("django-insecure", "<")):
    message = "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop"
    raise ImproperlyConfigured(message)

ALLOWED_HOSTS = env_list("DJANGO_ALLOWED_HOSTS")
if not DEBUG and not ALLOWED_HOSTS:
    message = "DJANGO_ALLOWED_HOSTS is missing: name the shop's hosts, such as yourdomain.com"
    raise ImproperlyConfigured(message)

# Who may call the endpoints that show customers or revenue: everybody, or signed-in staff.
SHOP_API_AUTH = env_choice("SHOP_API_AUTH", ("open", "required"), default="open" if DEBUG else "required")

# So long an answer that shows no customer may be given again; 0: what is written is what the next GET shows.
SHOP_CACHE_SECONDS = env_number("SHOP_CACHE_SECONDS", default=0, highest=3600)

# Behind a proxy that ends TLS and sets X-Forwarded-Proto. Off, plain http works.
if env_flag("DJANGO_HTTPS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

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

# On pages of these origins scripts may read the API as anybody may, without cookies.
CORS_ALLOWED_ORIGINS = env_origins("DJANGO_CORS_ORIGINS")
if CORS_ALLOWED_ORIGINS:
    INSTALLED_APPS.append("corsheaders")
    # Before json_api, which refuses OPTIONS.
    MIDDLEWARE.insert(MIDDLEWARE.index("shop.api.routing.json_api"), "corsheaders.middleware.CorsMiddleware")
    CORS_URLS_REGEX = "^/shop/api/"
    CORS_ALLOW_METHODS = ("GET", "HEAD")
    CORS_ALLOW_HEADERS = ("if-none-match",)
    CORS_EXPOSE_HEADERS = ("ETag", "Link", "X-Total-Count", "Age", "Retry-After", "X-Request-ID")

if DEBUG:
    below_policy = MIDDLEWARE.index("csp.middleware.CSPMiddleware") + 1
    MIDDLEWARE.insert(below_policy, "webshop.middleware.debug_pages")
if DEBUG and find_spec("debug_toolbar"):
    INSTALLED_APPS.append("debug_toolbar")
    # Within the policy's middleware, which it asks for a nonce.
    MIDDLEWARE.insert(below_policy, "debug_toolbar.middleware.DebugToolbarMiddleware")
    DEBUG_TOOLBAR_CONFIG = {
        # In a container the browser has no address that could be known here.
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

env_choice("DATABASE_ENGINE", ("postgresql",), default="postgresql")
DATABASE_PASSWORD = env_secret("DATABASE_PASSWORD")
if DATABASE_PASSWORD.startswith("<"):
    message = "DATABASE_PASSWORD is a placeholder: set a long random one"
    raise ImproperlyConfigured(message)
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
        # A host that vanished is noticed in less than 3 seconds: 1.4 by a connection to it, 1 by a new one.
        "OPTIONS": {
            "connect_timeout": 1,
            "tcp_user_timeout": 1000,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 2,
        },
    },
}

# A hot standby, which the endpoints read from while it shows what was committed so many seconds ago.
DATABASE_REPLICA_MAX_LAG = env_number("DATABASE_REPLICA_MAX_LAG", default=10, lowest=1, highest=3600)
if environment.get("DATABASE_REPLICA_HOST"):
    DATABASES["replica"] = {
        **DATABASES["default"],
        "HOST": environment["DATABASE_REPLICA_HOST"],
        # What a lost connection could not answer is asked of the primary.
        "CONN_HEALTH_CHECKS": False,
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

# A line of an order is eight fields of its form in the admin: 600 lines fit.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# Whoever signs in with a next page that is none of the shop's goes there.
LOGIN_REDIRECT_URL = "admin:index"

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
        "stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"},
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
        "webshop.request": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        # All but its traceback stands in the line of the request.
        "django.request": {"filters": ["failures"]},
        # What a caller did wrong; some of it quotes headers.
        "django.security": {"handlers": ["null"], "propagate": False},
    }
