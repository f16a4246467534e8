"""The configuration: what the environment may say, and the one line that refuses the rest."""

import os
import shutil
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests import BACKEND

PRODUCTION = {
    "DJANGO_SECRET_KEY": "k9$2mzq!0v#r7w@x4c8b1n5t3y6u-e+a_s(d)f=g%hjlp-q1w2e3r4",
    "DJANGO_ALLOWED_HOSTS": "shop.example,www.shop.example",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project without any .env, enough to read its settings."""
    shutil.copytree(BACKEND / "webshop", tmp_path / "backend" / "webshop")
    return tmp_path / "backend"


@pytest.fixture
def whole(checkout: Path) -> Path:
    """The copy with all that commands need, compiled as it is here."""
    shutil.copytree(BACKEND / "shop", checkout / "shop")
    for name in ("manage.py", "gunicorn.conf.py"):
        shutil.copy2(BACKEND / name, checkout)
    return checkout


def run(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def load(checkout: Path, **environment: str) -> ModuleType:
    """Read the settings as a process of this environment does, without touching those of the tests."""
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.dict(sys.modules),
        warnings.catch_warnings(action="ignore"),
    ):
        for name in ("environment", "settings"):  # the second one imports the first
            spec = spec_from_file_location(f"webshop.{name}", checkout / "webshop" / f"{name}.py")
            assert spec
            assert spec.loader
            module = sys.modules[f"webshop.{name}"] = module_from_spec(spec)
            spec.loader.exec_module(module)
    return module


def setting(checkout: Path, expression: str, **environment: str) -> str:
    """Return what `print(expression)` prints."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(f"print({expression})", {"settings": load(checkout, **environment)})
    return printed.getvalue().strip()


EXAMPLE = "https://shop.example"
REFUSED = [
    ({}, "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop"),
    (
        {**PRODUCTION, "DJANGO_SECRET_KEY": "your-secret-key"},
        "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop",
    ),
    (
        {**PRODUCTION, "DJANGO_SECRET_KEY": "django-insecure-development-only"},
        "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop",
    ),
    (
        {**PRODUCTION, "DJANGO_SECRET_KEY": "<a secret\nof two lines>"},
        "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop",
    ),
    (
        {**PRODUCTION, "DJANGO_SECRET_KEY_FALLBACKS": f"{'k' * 60},changeme"},
        "DJANGO_SECRET_KEY_FALLBACKS holds a placeholder: leave it out",
    ),
    (
        {**PRODUCTION, "DJANGO_ALLOWED_HOSTS": " , "},
        "DJANGO_ALLOWED_HOSTS is missing: name the shop's hosts, such as yourdomain.com",
    ),
    (
        {**PRODUCTION, "DJANGO_SECRET_KEY": "<secret>"},
        "DJANGO_SECRET_KEY is missing or a placeholder: set a long random one, or DEBUG=1 to develop",
    ),
    (
        {**PRODUCTION, "DATABASE_PASSWORD": "<another secret>"},
        "DATABASE_PASSWORD is a placeholder: set a long random one",
    ),
    ({"DEBUG": "False"}, "DEBUG must be 0 or 1, not 'False'"),
    ({"DEBUG": "1", "DJANGO_HTTPS": "yes"}, "DJANGO_HTTPS must be 0 or 1, not 'yes'"),
    (
        {"DEBUG": "1", "DJANGO_HTTPS": "1", "DJANGO_HSTS_PRELOAD": "yes"},
        "DJANGO_HSTS_PRELOAD must be 0 or 1, not 'yes'",
    ),
    ({"DEBUG": "1", "DJANGO_BEHIND_PROXY": "on"}, "DJANGO_BEHIND_PROXY must be 0 or 1, not 'on'"),
    ({"DEBUG": "1", "SHOP_LANGUAGE": "fr"}, "SHOP_LANGUAGE must be en or de, not 'fr'"),
    ({"DEBUG": "1", "SHOP_LANGUAGE": "DE"}, "SHOP_LANGUAGE must be en or de, not 'DE'"),
    (
        {"DEBUG": "1", "SHOP_CACHE_SECONDS": "1.5"},
        "SHOP_CACHE_SECONDS must be a whole number from 0 to 3600, not '1.5'",
    ),
    (
        {"DEBUG": "1", "SHOP_CACHE_SECONDS": "3601"},
        "SHOP_CACHE_SECONDS must be a whole number from 0 to 3600, not '3601'",
    ),
    (
        {"DEBUG": "1", "DATABASE_REPLICA_MAX_LAG": "0"},
        "DATABASE_REPLICA_MAX_LAG must be a whole number from 1 to 3600, not '0'",
    ),
    (
        {"DEBUG": "1", "DATABASE_TRANSACTION_POOLER": "on"},
        "DATABASE_TRANSACTION_POOLER must be 0 or 1, not 'on'",
    ),
    *(
        ({"DEBUG": "1", "DJANGO_CACHE_URL": url}, "DJANGO_CACHE_URL must be redis://host:port/db")
        for url in (
            "cache",
            "redis://cache:6379",
            "redis://cache:0/0",
            "redis://cache:65536/0",
            "redis://user:password@cache:6379/0",
            "rediss://cache:6379/0",
            "redis://cache:6379/0?db=1",
        )
    ),
    *(
        ({"DEBUG": "1", "SENTRY_DSN": bad}, "SENTRY_DSN must be a DSN such as https://<key>@<host>/<project>")
        for bad in ("hush", "https://sentry.example/1", "https://key@sentry.example/x", "https://key@/1")
    ),
    *(
        (
            {"DEBUG": "1", name: f"https://good.example,{bad}"},
            f"{name} must hold origins such as {EXAMPLE}, not {bad!r}",
        )
        for name in ("DJANGO_CORS_ORIGINS", "DJANGO_CSRF_TRUSTED_ORIGINS")
        for bad in (
            "shop.example",
            "https://shop.example/",
            "https://shop.example/path",
            "https://",
            "*",
            "null",
        )
    ),
    ({"DEBUG": "1", "SHOP_API_AUTH": "none"}, "SHOP_API_AUTH must be open or required, not 'none'"),
    ({"DEBUG": "1", "DATABASE_ENGINE": "mysql"}, "DATABASE_ENGINE must be postgresql, not 'mysql'"),
    ({"DEBUG": "1", "DATABASE_PORT": "0"}, "DATABASE_PORT must be a port from 1 to 65535, not '0'"),
    ({"DEBUG": "1", "DATABASE_PORT": "70000"}, "DATABASE_PORT must be a port from 1 to 65535, not '70000'"),
    ({"DEBUG": "1", "DATABASE_PORT": "٣"}, "DATABASE_PORT must be a port from 1 to 65535, not '٣'"),
]


def refusal(checkout: Path, **environment: str) -> str:
    """Return why the settings are refused."""
    try:
        load(checkout, **environment)
    except ImproperlyConfigured as error:
        return str(error)
    return f"{environment} is taken"


def test_what_cannot_be_meant_is_refused(checkout: Path) -> None:
    for environment, message in REFUSED:
        assert refusal(checkout, **environment) == message, environment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("manage.py", ["manage.py", "migrate"]),
        ("manage.py", ["manage.py", "shell", "-c", "print(1)"]),
        ("webshop", ["-m", "gunicorn", "webshop.wsgi"]),
    ],
)
def test_a_refusal_is_one_line(whole: Path, program: str, command: list[str]) -> None:
    environment, message = REFUSED[-1]
    result = run(whole, *command, **environment)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"{program}: {message}\n")


def test_a_secret_may_be_in_a_file(checkout: Path, tmp_path: Path) -> None:
    key, password = tmp_path / "key", tmp_path / "password"
    key.write_text(PRODUCTION["DJANGO_SECRET_KEY"] + "\n")
    password.write_text(" it's ünusual \r\n")
    files = {"DJANGO_SECRET_KEY_FILE": str(key), "DATABASE_PASSWORD_FILE": str(password)}
    found = setting(
        checkout,
        "ascii([settings.SECRET_KEY, settings.DATABASES['default']['PASSWORD']])",
        DJANGO_ALLOWED_HOSTS="shop.example",
        DJANGO_SECRET_KEY="",
        **files,
    )
    assert found == ascii([PRODUCTION["DJANGO_SECRET_KEY"], " it's ünusual "])
    # As in the environment, a placeholder is none.
    key.write_text("your-secret-key\n")
    with pytest.raises(ImproperlyConfigured, match=r"^DJANGO_SECRET_KEY is missing or a placeholder"):
        load(checkout, DJANGO_ALLOWED_HOSTS="shop.example", **files)


def test_keys_of_before_are_still_read(checkout: Path, tmp_path: Path) -> None:
    code = "ascii([settings.SECRET_KEY_FALLBACKS])"
    assert setting(checkout, code, **PRODUCTION) == "[[]]"
    found = setting(checkout, code, **PRODUCTION, DJANGO_SECRET_KEY_FALLBACKS="the last one, one before")
    assert found == "[['the last one', 'one before']]"
    path = tmp_path / "keys"
    path.write_text("the last one\n")
    found = setting(checkout, code, **PRODUCTION, DJANGO_SECRET_KEY_FALLBACKS_FILE=str(path))
    assert found == "[['the last one']]"


def test_a_file_that_holds_no_secret_is_one_line(checkout: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for content, problem in (
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"hush\xff\n", "it is no UTF-8 text"),
    ):
        if content is not None:
            path.write_bytes(content)
        for name in ("DJANGO_SECRET_KEY", "DATABASE_PASSWORD", "SENTRY_DSN", "EMAIL_HOST_PASSWORD"):
            told = refusal(checkout, DEBUG="1", **{f"{name}_FILE": str(path)})
            assert told == f"{name}_FILE: {path} cannot be read: {problem}", content


@pytest.mark.parametrize("name", ["STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"])
def test_stripe_without_its_library_is_one_line(checkout: Path, name: str) -> None:
    """Also where it takes no new payments: old ones may have to be given back."""
    found = find_spec
    with (
        patch("importlib.util.find_spec", lambda package: None if package == "stripe" else found(package)),
        pytest.raises(ImproperlyConfigured) as refusal,
    ):
        load(checkout, DEBUG="1", SHOP_PAYMENT="invoice", **{name: "x"})
    message = "STRIPE_SECRET_KEY or STRIPE_WEBHOOK_SECRET is set: install stripe, uv sync --extra stripe"
    assert str(refusal.value) == message
    load(checkout, DEBUG="1", SHOP_PAYMENT="invoice", **{name: "x"})


def test_a_directory_is_no_secret(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(checkout, DEBUG="1", DATABASE_PASSWORD_FILE=str(tmp_path))
    assert str(refusal.value) == f"DATABASE_PASSWORD_FILE: {tmp_path} cannot be read: Is a directory"


@pytest.mark.parametrize("name", ["DJANGO_SECRET_KEY", "DATABASE_PASSWORD", "SENTRY_DSN"])
def test_a_secret_given_twice_is_refused(checkout: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "secret"
    path.write_text("hush")
    twice = {name: "hush", f"{name}_FILE": str(path)}
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(checkout, DEBUG="1", **twice)
    assert str(refusal.value) == f"{name} and {name}_FILE are both set: set one"


@pytest.mark.slow
@pytest.mark.parametrize("command", [["migrate"], ["runserver", "8099"], ["runserver", "8099", "--noreload"]])
def test_an_unreachable_database_is_one_line(whole: Path, command: list[str]) -> None:
    result = run(whole, "manage.py", *command, DEBUG="1", DATABASE_HOST="127.0.0.1", DATABASE_PORT="1")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if "Watching for file changes" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(
        'manage.py: the database does not answer: connection to server at "127.0.0.1", port 1 failed'
    )


def test_production_is_the_default(checkout: Path) -> None:
    assert setting(checkout, "settings.DEBUG, settings.SHOP_API_AUTH", **PRODUCTION) == "False required"
    hosts = setting(checkout, "settings.ALLOWED_HOSTS", **PRODUCTION)
    assert hosts == "['shop.example', 'www.shop.example']"


def test_development_is_open(checkout: Path) -> None:
    assert setting(checkout, "settings.DEBUG, settings.SHOP_API_AUTH", DEBUG="1") == "True open"
    assert setting(checkout, "settings.SHOP_API_AUTH", DEBUG="1", SHOP_API_AUTH="required") == "required"


@pytest.mark.slow
def test_the_toolbar_is_for_development(whole: Path) -> None:
    apps = "'debug_toolbar' in settings.INSTALLED_APPS"
    assert setting(whole, apps, DEBUG="1") == "True"
    assert setting(whole, apps, **PRODUCTION) == "False"
    check = run(whole, "manage.py", "check", "--fail-level", "WARNING", DEBUG="1")
    assert (check.returncode, check.stdout) == (0, "System check identified no issues (0 silenced).\n")


def test_the_database_of_the_specification(checkout: Path) -> None:
    shutil.copy(BACKEND / ".env.example", checkout / ".env")
    keys = "[settings.DATABASES['default'][key] for key in ('NAME', 'USER', 'PASSWORD', 'HOST', 'PORT')]"
    assert setting(checkout, keys) == "['webshop_db', 'webshop_user', 'webshop_password', 'db', '5432']"
    assert setting(checkout, "settings.DEBUG, settings.ALLOWED_HOSTS") == "True ['localhost', '127.0.0.1']"


def test_an_env_file_never_overrides_the_environment(checkout: Path) -> None:
    (checkout / ".env").write_text(
        "# a comment\n\nDEBUG=1\nDATABASE_HOST = 'from file'\nexport DATABASE_NAME=\"named\"\n"
    )
    hosts = "settings.DATABASES['default']['HOST'], settings.DATABASES['default']['NAME']"
    assert setting(checkout, hosts) == "from file named"
    assert setting(checkout, hosts, DATABASE_HOST="real") == "real named"


def test_quotes_in_an_env_file_come_in_pairs(checkout: Path) -> None:
    (checkout / ".env").write_text("DEBUG=1\nDATABASE_PASSWORD=it's\"\nDATABASE_NAME=''\n")
    keys = "settings.DATABASES['default']['PASSWORD'], settings.DATABASES['default']['NAME']"
    assert setting(checkout, keys) == "it's\" webshop_db"


def test_a_line_of_an_env_file_that_says_nothing_is_refused(checkout: Path) -> None:
    (checkout / ".env").write_text("# fine\nDEBUG 1\n")
    with pytest.raises(ImproperlyConfigured) as refusal:
        load(checkout)
    assert str(refusal.value) == f"{checkout / '.env'}, line 2: NAME=value is expected"


def test_what_quickstart_left_behind_never_opens_production(checkout: Path) -> None:
    (checkout / ".postgres").mkdir()
    (checkout / ".postgres" / "env").write_text("DEBUG=1\nDATABASE_HOST=/tmp/webshop-x\n")
    assert setting(checkout, "settings.DEBUG, settings.SHOP_API_AUTH") == "True open"
    assert setting(checkout, "settings.DEBUG, settings.SHOP_API_AUTH", **PRODUCTION) == "False required"
    key = checkout / "key"
    key.write_text(PRODUCTION["DJANGO_SECRET_KEY"])
    production = {"DJANGO_SECRET_KEY_FILE": str(key), "DJANGO_ALLOWED_HOSTS": "shop.example"}
    assert setting(checkout, "settings.DEBUG, settings.SHOP_API_AUTH", **production) == "False required"


def test_the_ports_that_compose_publishes_do_not_hide_quickstarts_database(checkout: Path) -> None:
    (checkout / ".env").write_text("SHOP_PORT=8001\nDATABASE_PORT=5433\n")
    (checkout / ".postgres").mkdir()
    (checkout / ".postgres" / "env").write_text("DEBUG=1\nDATABASE_HOST=/tmp/webshop-x\nDATABASE_PORT=5432\n")
    keys = "settings.DATABASES['default']['HOST'], settings.DATABASES['default']['PORT']"
    assert setting(checkout, keys) == "/tmp/webshop-x 5432"


@pytest.mark.slow
def test_after_quickstart_has_ended_other_commands_say_so(whole: Path) -> None:
    message = (
        "manage.py: quickstart is not running: start it (manage.py quickstart), or set DJANGO_SECRET_KEY\n"
    )
    (whole / ".postgres").mkdir()
    result = run(whole, "manage.py", "shell", "-c", "print(1)")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", message)
    # Whoever has configured something else does not mean quickstart's shop.
    for configured in ({"DATABASE_HOST": "db"}, {"DJANGO_SECRET_KEY": "your-secret-key"}):
        result = run(whole, "manage.py", "check", **configured)
        assert result.stderr.startswith("manage.py: DJANGO_SECRET_KEY is missing or a placeholder")
    assert setting(whole, "settings.DEBUG", DEBUG="1") == "True"


def test_an_unreadable_env_file_is_one_line(whole: Path) -> None:
    (whole / ".env").write_bytes(b"DEBUG=1\n\xff\xfe")
    result = run(whole, "manage.py", "check")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert ".env cannot be read" in result.stderr


@pytest.mark.slow
def test_the_deployment_check_is_clean(whole: Path) -> None:
    check = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    variables = {"DJANGO_HTTPS": "1", **PRODUCTION}
    result = run(whole, *check, EMAIL_HOST="mail.example.com", **variables)
    assert (result.returncode, result.stdout) == (0, "System check identified no issues (1 silenced).\n")


@pytest.mark.slow
def test_check_says_that_mails_wait(whole: Path) -> None:
    """No other command does."""
    said = "(shop.I001) No mail is sent: there is no mail server."
    for arguments in ([], ["--deploy"]):
        result = run(whole, "manage.py", "check", *arguments, **PRODUCTION)
        assert (result.returncode, result.stderr.count(said)) == (0, 1)
    assert said not in run(whole, "manage.py", "check", EMAIL_HOST="mail.example.com", **PRODUCTION).stderr
    assert run(whole, "manage.py", "openapi", **PRODUCTION).stderr == ""


def test_preload_has_a_switch_of_its_own(checkout: Path) -> None:
    name = "getattr(settings, 'SECURE_HSTS_PRELOAD', None)"
    assert setting(checkout, name, DJANGO_HTTPS="1", **PRODUCTION) == "False"
    assert setting(checkout, name, DJANGO_HTTPS="1", DJANGO_HSTS_PRELOAD="1", **PRODUCTION) == "True"
    assert setting(checkout, name, DJANGO_HSTS_PRELOAD="1", **PRODUCTION) == "None"


def test_https_hangs_on_one_switch(checkout: Path) -> None:
    names = "[getattr(settings, name, None) for name in ('SECURE_SSL_REDIRECT', 'SESSION_COOKIE_SECURE')]"
    assert setting(checkout, names, **PRODUCTION) == "[None, None]"
    assert setting(checkout, names, DJANGO_HTTPS="1", **PRODUCTION) == "[True, True]"


def test_a_standby_is_a_second_database(checkout: Path) -> None:
    names = "sorted(settings.DATABASES), getattr(settings, 'DATABASE_ROUTERS', [])"
    assert setting(checkout, names, **PRODUCTION) == "['default'] []"
    assert setting(checkout, names, DATABASE_REPLICA_HOST="", **PRODUCTION) == "['default'] []"
    variables = PRODUCTION | {"DATABASE_REPLICA_HOST": "other", "DATABASE_PORT": "5433"}
    assert setting(checkout, names, **variables) == "['default', 'replica'] ['shop.database.standby.Router']"
    names = "[settings.DATABASES['replica'][key] for key in ('HOST', 'PORT', 'USER', 'NAME')]"
    assert setting(checkout, names, **variables) == "['other', '5433', 'webshop_user', 'webshop_db']"
