"""The check of the code in a TorchScript archive, before torch reads any of it.

The code of an archive is text in a small part of Python's grammar. It is parsed here, every call in
it is compared with the allow-list of `operators`, and it is written out again from what was parsed.
torch gets the text that was written out, so that nothing can mean one thing to this check and
another to torch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import ModelError
from .operators import ATEN, BUILTINS, PRIM

DEEPEST = 100  # nested expressions; torch's own parser is recursive, and has no limit
SPACES = {"torch", "ops", "__torch__", "CONSTANTS"}  # names of namespaces in the code
GRAMMAR = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.keyword, ast.Assign,
    ast.AnnAssign, ast.Expr, ast.Return, ast.If, ast.For, ast.While, ast.Pass, ast.Break,
    ast.Continue, ast.Call, ast.Attribute, ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Dict,
    ast.Subscript, ast.Slice, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip


@dataclass(frozen=True)
class Code:
    """The code of an archive.

    Attributes:
        texts: The text of each file by its module, written out again after it was checked.
        classes: The attributes of each class, as {"__torch__.nets.Net": {"memory": "Tensor"}}.
    """

    texts: dict[str, str]
    classes: dict[str, dict[str, str]]


def check_code(files: Mapping[str, bytes], operators: frozenset[str]) -> Code:
    """Return the code of an archive after every call in it was checked.

    Args:
        files: The text of each file by its module, as in {"__torch__.nets": b"class Net(Module)"}.
        operators: The names of all operators that torch has. A method that has one of these names
            could be the operator.

    Raises:
        ModelError: If the code is not TorchScript, or calls anything that is not allowed.
    """
    trees = {module: _parsed(module, text) for module, text in files.items()}
    known = {f"{module}.{name}" for module, tree in trees.items() for name in _defined(tree)}
    for tree in trees.values():
        _Check(known, operators).file(tree)
        _Rewritten().visit(tree)
    classes = {
        f"{module}.{node.name}": dict(_attributes(node))
        for module, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    return Code({module: ast.unparse(tree) + "\n" for module, tree in trees.items()}, classes)


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Yield the name and the type of each attribute of a class: `a : Tensor`."""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            if part.value is None:
                yield part.target.id, ast.unparse(part.annotation)
        elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Subscript):
            # `__annotations__["0"] = Tensor`, where the name is none of Python
            yield ast.unparse(part.targets[0].slice).strip("\"'"), ast.unparse(part.value)


def _parsed(module: str, text: bytes) -> ast.Module:
    """Return the tree of one file; refuse grammar that torch never writes."""
    if module.startswith("__torch__.torch.classes"):
        raise ModelError(f"its code calls itself {module[:80]}, a name of classes of C++")
    try:  # Latin-1 keeps every byte, so that the text of messages survives
        tree = ast.parse(text.decode("latin-1"), module)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"the code in {module} is not TorchScript ({error})") from None
    for node in _nodes(tree):
        if not isinstance(node, GRAMMAR):
            raise ModelError(f"its code has a {type(node).__name__.lower()}, which is not allowed")
    return tree


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of *tree*; refuse trees so deep that they could exhaust a stack."""
    stack = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > DEEPEST:
            raise ModelError(f"its code is nested more than {DEEPEST} deep, which is not allowed")
        yield node
        stack += [(child, depth + 1) for child in ast.iter_child_nodes(node)]


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the classes and functions of a file."""
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            raise ModelError("its code has statements outside functions, which is not allowed")
        yield node.name


class _Check:
    """The check of one file.

    Args:
        known: The classes and functions of the archive.
        operators: The names of all operators that torch has.
    """

    def __init__(self, known: set[str], operators: frozenset[str]) -> None:
        self.known, self.operators = known, operators

    def file(self, tree: ast.Module) -> None:
        """Check all classes and functions of a file."""
        for node in tree.body:
            for part in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(part, ast.FunctionDef):
                    self._function(part)
                else:
                    self._constant(part)
                    self._expressions(part, set())

    def _function(self, function: ast.FunctionDef) -> None:
        """Check one function."""
        if function.name in ("__setstate__", "__getstate__"):
            raise ModelError(f"its code runs while it is loaded ({function.name}): not allowed")
        if function.decorator_list or any(
            isinstance(node, ast.FunctionDef | ast.ClassDef)
            for node in ast.walk(function)
            if node is not function
        ):
            raise ModelError("its code has functions in functions, which is not allowed")
        taken = function.args
        for value in [*taken.defaults, *(each for each in taken.kw_defaults if each)]:
            self._constant(value)  # torch runs it while it loads
        self._expressions(function, self._aliases(function))

    @staticmethod
    def _constant(tree: ast.AST) -> None:
        """Refuse expressions where torch wants values and types, which it computes at once."""
        if any(isinstance(node, ast.Call | ast.BinOp) for node in ast.walk(tree)):
            raise ModelError("its code has constants that are computed, which is not allowed")

    def _aliases(self, function: ast.FunctionDef) -> set[str]:
        """Return the variables that can only be functions of the archive: `_1 = __torch__.f`."""
        stores: dict[str, int] = {}
        named: dict[str, int] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                stores[node.id] = stores.get(node.id, 0) + 1
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and ".".join(_chain(node.value)) in self.known
            ):
                named[node.targets[0].id] = named.get(node.targets[0].id, 0) + 1
        return {
            name
            for name, count in named.items()
            if count == stores[name] and re.fullmatch(r"_\d+", name)
        }

    def _expressions(self, tree: ast.AST, aliases: set[str]) -> None:
        """Check each name and each call of a function or a class."""
        inside: set[int] = set()  # nodes of names like torch.add that were checked as a whole
        for node in ast.walk(tree):
            if isinstance(node, ast.arg) and node.arg in SPACES:
                raise ModelError(f"its code takes {node.arg} for a variable: not allowed")
            if isinstance(node, ast.Call):
                self._call(node, aliases)
            if isinstance(node, ast.Attribute) and id(node) not in inside:
                parts = _chain(node)
                if parts and parts[0] in SPACES:
                    self._space(parts)
                    inside |= {id(each) for each in ast.walk(node)}
            elif isinstance(node, ast.Name) and node.id in SPACES and id(node) not in inside:
                raise ModelError(f"its code takes {node.id} for a variable: not allowed")

    def _space(self, parts: list[str]) -> None:
        """Check a name in a namespace, as torch.add, ops.prim.dtype or __torch__.nets.Net."""
        name, last = ".".join(parts), parts[-1]
        match parts[:-1]:
            case ["__torch__", *_]:
                good = name in self.known or ".".join(parts[:-1]) in self.known
            case ["CONSTANTS"]:
                good = re.fullmatch(r"c\d+", last) is not None
            case ["torch"]:
                good = last in ATEN or last == "warn"
            case ["ops", "aten"]:
                good = last in ATEN
            case ["ops", "prim"]:
                good = last in PRIM
            case _:
                good = False
        if not good or parts[1:3] == ["torch", "classes"]:
            raise ModelError(f"its code uses {name[:80]}, which is not allowed")

    def _call(self, node: ast.Call, aliases: set[str]) -> None:
        """Check what is called: a builtin, an operator, or a function of the archive."""
        called = node.func
        if isinstance(called, ast.Name):
            name, good = called.id, called.id in BUILTINS or called.id in aliases
        elif isinstance(called, ast.Attribute):
            name = called.attr
            space = _chain(called)
            # On a value, a name can be the operator. (In a namespace, `_space` has checked it.)
            good = (bool(space) and space[0] in SPACES) or self._method(name)
        else:
            name, good = ast.unparse(called), False
        if name == "unchecked_cast" and any("__torch__" in ast.unparse(arg) for arg in node.args):
            good = False  # an object would be read beyond its end if it were taken for a larger one
        if not good:
            raise ModelError(f"its code calls {name[:80]}, which is not allowed")

    def _method(self, name: str) -> bool:
        """Return whether a method may have this name: no operator has it, or an allowed one."""
        return name in ATEN or name not in self.operators


class _Rewritten(ast.NodeTransformer):
    """A change of the code that leaves out warnings, and writes texts in the way that torch does.

    Warnings would go to the user's terminal. In texts, torch knows other escapes than Python.
    """

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Replace a text by a name that looks like the text in quotes, which is written as it is.

        All but letters, digits and the like is written as an octal number.
        """
        if not isinstance(node.value, str):
            return node
        plain = "".join(
            each if " " <= each <= "~" and each not in '"\\' else f"\\{ord(each):03o}"
            for each in node.value
        )
        return ast.Name(f'"{plain}"')

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace torch.warn(...), whose result is None, by None."""
        if _chain(node.func) == ["torch", "warn"]:
            return ast.Constant(None)
        return self.generic_visit(node)


def _chain(node: ast.AST) -> list[str]:
    """Return the parts of a dotted name, as ["torch", "add"]; none if *node* is something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []
