"""Where the public names of both packages are defined, and what their annotations mention: read from the source."""

import ast
import builtins
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import edge
import tfc

PACKAGES = {"tfc": tfc, "edge": edge}
_ERRORS = "tfc.base.errors"


@cache
def source_of(module):
    """The syntax tree of a module."""
    return ast.parse(Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Definition:
    """Where something is defined.

    Attributes:
        public_name: `tfc.run`.
        module: `tfc.simulation.loop`.
        node: Its function, class or assignment.
        docstring: Its documentation; of an assignment, the text below it.
    """

    public_name: str
    module: str
    node: ast.AST
    docstring: str


def _targets(node):
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [node.target.id] if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else []


def _defined(module, name):
    """The statement of a module that defines a name, and the one after it; None where there is none."""
    body = source_of(module).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if name in _targets(node) or getattr(node, "name", None) == name:
            return node, after
    return None


def origin(module, name):
    """(module, name) of where a name that a module uses is defined; None for one of another package's or Python's."""
    if _defined(module, name):
        return module, name
    for node in ast.walk(source_of(module)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    ours = node.module.partition(".")[0] in PACKAGES
                    return origin(node.module, alias.name) if ours else None
        elif isinstance(node, ast.Import) and name in [(alias.asname or alias.name) for alias in node.names]:
            return None
    if _defined(_ERRORS, name):  # a `Raises:` may name what a function below raises
        return _ERRORS, name
    assert hasattr(builtins, name), f"{module}: {name} is defined nowhere"
    return None


def definitions():
    """All public definitions, by public name."""
    found = {}
    for package, module_of in ((name, package._PUBLIC) for name, package in PACKAGES.items()):
        for name, module in module_of.items():
            node, after = _defined(module, name)
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = ast.get_docstring(node) or ""
            else:
                is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                text = after.value.value if is_text else ""
            found[f"{package}.{name}"] = Definition(f"{package}.{name}", module, node, text)
    return found


def _names(annotation):
    for node in ast.walk(annotation):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _names(ast.parse(node.value, mode="eval"))


def _raised(docstring):
    """Names of the errors in a `Raises:` section."""
    section = re.search(r"^Raises:\n((?:    .*\n?|\n)*)", docstring or "", re.M)
    return re.findall(r"^    (\w+):", section[1], re.M) if section else []


def _of_function(node):
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    for annotation in [*(argument.annotation for argument in arguments if argument), node.returns]:
        if annotation is not None:
            yield from _names(annotation)
    yield from _raised(ast.get_docstring(node))


def mentioned(definition):
    """(place, name) of all that a definition's annotations, base classes and `Raises:` sections name.

    Of a class: its attributes, `__init__`, methods and properties, as far as they are public.
    """
    node, place = definition.node, definition.public_name
    if isinstance(node, ast.FunctionDef):
        yield from ((place, name) for name in _of_function(node))
    elif isinstance(node, ast.ClassDef):
        yield from ((place, name) for base in node.bases for name in _names(base))
        yield from ((place, name) for name in _raised(ast.get_docstring(node)))
        for part in node.body:
            if isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
                yield from ((f"{place}.{part.name}", name) for name in _of_function(part))
            elif isinstance(part, ast.AnnAssign) and not part.target.id.startswith("_"):
                yield from ((f"{place}.{part.target.id}", name) for name in _names(part.annotation))
    elif isinstance(node, ast.AnnAssign):
        yield from ((place, name) for name in _names(node.annotation))
    elif not isinstance(node.value, ast.Call):  # an alias of a type; a call makes a constant
        yield from ((place, name) for name in _names(node.value))


def not_public(public):
    """`place: module.name` of what public definitions mention that is ours and not public itself.

    Args:
        public: Of `definitions`.
    """
    known = {(definition.module, definition.public_name.partition(".")[2]) for definition in public.values()}
    missing = set()
    for definition in public.values():
        for place, name in mentioned(definition):
            found = origin(definition.module, name)
            if found and found not in known:
                missing.add(f"{place}: {'.'.join(found)}")
    return sorted(missing)
