"""The environment that the settings are read from, strictly: what cannot be meant is refused with one line.

All functions raise ImproperlyConfigured, with that line.
"""

import os
import re
from collections import ChainMap
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

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
quickstart_has_ended = False
"""Whether the shop that the environment means is the one that `manage.py quickstart` ran here before."""

if not environment.keys() & {"DATABASE_HOST", "DJANGO_SECRET_KEY", "DJANGO_SECRET_KEY_FILE"}:
    # Nobody says what to run: it is the development shop that `manage.py quickstart` runs here, if it does.
    state = BASE_DIR / ".postgres"
    environment.maps.insert(1, read_env_file(state / "env"))
    quickstart_has_ended = state.is_dir() and not environment.maps[1]


def env_choice(name: str, choices: tuple[str, ...], default: str) -> str:
    """Return the value of a variable that knows only these choices."""
    value = environment.get(name) or default
    if value not in choices:
        message = f"{name} must be {' or '.join(choices)}, not {value!r}"
        raise ImproperlyConfigured(message)
    return value


# ISO 4217; all others have two decimals.
OTHER_DECIMALS = (
    "BHD BIF CLF CLP DJF GNF IQD ISK JOD JPY KMF KRW KWD LYD OMR PYG RWF TND UGX UYI UYW VND VUV XAF XOF XPF"
)


def env_flag(name: str) -> bool:
    """Return a switch: 1 is on; 0, empty or unset is off."""
    return env_choice(name, ("0", "1"), default="0") == "1"


def env_port(name: str, default: str) -> str:
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


def env_currency(name: str) -> str:
    """Return the code of a currency, which must have two decimals, as the shop's amounts do."""
    value = environment.get(name) or "EUR"
    if not re.fullmatch("[A-Z]{3}", value) or value in OTHER_DECIMALS:
        message = f"{name} must be the code of a currency with two decimals, not {value!r}"
        raise ImproperlyConfigured(message)
    return value


def env_origin(name: str) -> str:
    """Return scheme, host and port of an http address, empty if it is unset."""
    value = environment.get(name, "").rstrip("/")
    if value and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
        message = f"{name} must be such as https://shop.example.com, not {value!r}"
        raise ImproperlyConfigured(message)
    return value


def env_list(name: str) -> list[str]:
    return items_of(environment.get(name, ""))


def items_of(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


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


def env_secrets(name: str) -> list[str]:
    """Return secrets with a comma between each two, as env_secret() reads them."""
    return items_of(env_secret(name))
