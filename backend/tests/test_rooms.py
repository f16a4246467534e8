"""The rooms of shop/ import in one direction, as docs/PROJECT_STRUCTURE.md has it."""

import ast
from pathlib import Path

from tests import BACKEND

LEVELS = (
    {"database"},
    {"api", "jobs"},
    {"catalog", "customers"},
    {"carts"},
    {"orders"},
    {"payments"},
    {"admin", "storefront"},
    {"urls", "models", "apps", "periodic", "sample", "management", "migrations"},
)
"""A room may import those above it here, and itself; the last ones see all."""

SUBJECTS = {"catalog", "customers", "carts", "orders", "payments"}
FACES = {"endpoints", "forms", "callers", "pages"}
"""The modules of a subject that know of HTTP; its models and acts do not."""

MODULES = sorted((BACKEND / "shop").rglob("*.py"))


def imports(module: Path) -> set[str]:
    """The full names of the modules that one imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def level(room: str) -> int:
    (number,) = [number for number, rooms in enumerate(LEVELS) if room in rooms]
    return number


def test_a_room_imports_those_below_it() -> None:
    for module in MODULES:
        room = module.relative_to(BACKEND / "shop").parts[0].removesuffix(".py")
        names = [name.split(".") for name in imports(module)]
        assert not [name for name in names if name[0] in ("webshop", "tests", "benchmarks")], module
        if room == "__init__":
            continue
        for name in names:
            if name[0] == "shop" and name[1] != room:
                last = level(name[1]) == level(room) == len(LEVELS) - 1
                assert level(name[1]) < level(room) or last, (module, name)


def test_models_and_acts_know_nothing_of_http() -> None:
    for module in MODULES:
        if module.parent.name in SUBJECTS and module.stem not in FACES:
            names = [name for name in imports(module) if name.startswith(("shop.api", "django.http"))]
            assert not names, module
