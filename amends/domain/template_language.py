"""What a text may say beside its words: variables, a few filters, and conditions. No loops, no arithmetic, no calls.

Whoever edits a journey is no operator of this machine. Jinja2's sandbox keeps a text away from Python; this keeps it
from costing time and memory, which the sandbox does not: `{{ brand * 10**9 }}`, `{{ brand|center(10**9) }}`, nested
loops. What is left grows only with the text and its values, and fails for every customer or for none.
"""

from collections.abc import Iterator
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

LONGEST_TEXT = 5_000
"""Characters of a text as written; the parser's work and memory grow with it."""
DEEPEST = 20
"""Conditions in conditions, filters on filters."""

FILTERS = frozenset(
    {"upper", "lower", "capitalize", "title", "trim", "default", "d", "length", "int", "truncate"}
)
_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Filter,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.Keyword,
)

environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
environment.globals.clear()  # range, lipsum, cycler: nothing to call


def parse(text: str) -> nodes.Template:
    """The text as a tree. Raises ValueError for one that is too long or nested too deeply, TemplateSyntaxError."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"the text has {len(text):,} characters; write at most {LONGEST_TEXT:,}")
    try:
        tree = environment.parse(text)
    except RecursionError:
        tree = None
    if tree is None or _deeper(tree, DEEPEST):
        raise ValueError(f"the text is nested deeper than {DEEPEST} levels; write it plainly")
    return tree


def forbidden(tree: nodes.Template) -> str | None:
    """The first thing in the text that is not of the language, in words; None when there is none."""
    return next(_forbidden(tree), None)


def _forbidden(node: nodes.Node) -> Iterator[str]:
    if not isinstance(node, _NODES):
        yield _WORDS.get(type(node), f"{type(node).__name__.lower()} is not possible")
    elif isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            yield f"there is no filter {node.name!r}; use one of {', '.join(sorted(FILTERS))}"
        given = [*node.args, *(keyword.value for keyword in node.kwargs)]
        if (
            node.dyn_args
            or node.dyn_kwargs
            or not all(isinstance(one, (nodes.Const, nodes.Name)) for one in given)
        ):
            yield f"the filter {node.name!r} takes plain values only"
    elif isinstance(node, nodes.Name) and node.ctx != "load":
        yield "variables cannot be set"
    for child in node.iter_child_nodes():
        yield from _forbidden(child)


_WORDS: dict[type[nodes.Node], str] = {
    nodes.For: "loops are not possible",
    nodes.Call: "nothing can be called",
    nodes.Getattr: "a variable has no parts",
    nodes.Getitem: "a variable has no parts",
    nodes.Assign: "variables cannot be set",
    nodes.Macro: "macros are not possible",
    nodes.Include: "other files cannot be included",
    nodes.Import: "other files cannot be included",
    nodes.FromImport: "other files cannot be included",
    nodes.Extends: "other files cannot be included",
    **dict.fromkeys(
        (
            nodes.Add,
            nodes.Sub,
            nodes.Mul,
            nodes.Div,
            nodes.FloorDiv,
            nodes.Mod,
            nodes.Pow,
            nodes.Neg,
            nodes.Pos,
        ),
        "calculating is not possible",
    ),
}


class _EveryBranch(NodeTransformer):
    """Conditions replaced by all that they might come to, so that one rendering tries everything."""

    def visit_If(self, node: nodes.If) -> Any:  # noqa: N802 - jinja2 names it
        parts = [nodes.Output([node.test]), *node.body, *node.elif_, *node.else_]
        return [done for part in parts for done in self.visit_list(part)]

    def visit_CondExpr(self, node: nodes.CondExpr) -> Any:  # noqa: N802
        parts = [node.test, node.expr1, *([node.expr2] if node.expr2 else [])]
        return nodes.Concat([self.visit(part) for part in parts])

    def visit_And(self, node: nodes.And | nodes.Or) -> Any:  # noqa: N802
        return nodes.Concat([self.visit(node.left), self.visit(node.right)])

    visit_Or = visit_And  # noqa: N815


def every_branch(tree: nodes.Template) -> nodes.Template:
    """A text that fails when any branch of this one would."""
    return _EveryBranch().visit(tree)  # type: ignore[no-any-return]


def _deeper(tree: nodes.Node, levels: int) -> bool:
    layer: list[nodes.Node] = [tree]
    for _ in range(levels):
        layer = [child for node in layer for child in node.iter_child_nodes()]
    return bool(layer)
