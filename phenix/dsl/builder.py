"""Parse trees to expression nodes, literals read on the way, spellings of other languages put right.

One method a rule of the grammar, each given the rule's place and what stands below it. Findings
gather in ``found``; ``broken`` says that one of them leaves no node worth having.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

from phenix.dsl import nodes as n
from phenix.dsl.diagnostics import Diagnostic, Fix, Safety, diagnostic
from phenix.dsl.foreign import CALLS, COALESCE, IS_NULL, NOTHING, PATTERNS, WORDS
from phenix.dsl.functions import FUNCTIONS
from phenix.dsl.literals import Problem, read_date, read_instant, read_number, read_text, read_time
from phenix.dsl.printer import quoted
from phenix.dsl.source import Source, Span

__all__ = ["MAX_ITEMS", "ExpressionBuilder"]

MAX_ITEMS: Final = 1_000
"""Most items of an inline set."""

_WHAT: Final = {None: "null", True: "true", False: "false"}
_OPPOSITE: Final = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class ExpressionBuilder:
    """The expression rules of the grammar."""

    def __init__(self, source: Source, offset: int) -> None:
        super().__init__()
        self.source, self.offset = source, offset
        self.found: list[Diagnostic] = []
        self.broken = False

    # -- places, sizes, findings

    def _span(self, meta: Any) -> Span:
        return Span(meta.start_pos + self.offset, meta.end_pos + self.offset)

    def _token(self, token: Any) -> Span:
        return Span(token.start_pos + self.offset, token.end_pos + self.offset)

    def _written(self, node: Any) -> str:
        return self.source.text[node.span.start : node.span.end]

    def _over(self, *parts: Any) -> dict[str, int]:
        return {"depth": 1 + max(p.depth for p in parts), "size": 1 + sum(p.size for p in parts)}

    def _report(self, code: str, message: str, span: Span, help: str = "", fix: Fix | None = None) -> None:
        self.found.append(diagnostic(code, message, span, self.source, help=help, fix=fix))

    def _refuse(self, code: str, message: str, span: Span, help: str = "", fix: Fix | None = None) -> None:
        self.broken = True
        self._report(code, message, span, help, fix)

    def _foreign(self, span: Span, ours: str, safety: Safety = "safe", over: Span | None = None) -> None:
        """A spelling from elsewhere, and ours in its place; the fix may reach ``over`` more than what is shown."""
        text = self.source.text[span.start : span.end]
        self._report("PHX002", f"`{text}` is written `{ours}` here", span, fix=Fix(over or span, ours, safety))

    def _word(self, token: Any) -> str:
        """A word or sign of the language, whichever way it was written."""
        text = str(token)
        ours = WORDS.get(text.lower(), text.lower())
        if ours != text:
            self._foreign(self._token(token), ours, "unsafe" if ours == "like" and text.lower() != ours else "safe")
        return ours

    def _problem(self, problem: Problem | None, span: Span) -> None:
        if problem is None:
            return
        fix = Fix(span, problem.offer, problem.safety) if problem.offer is not None else None
        report = self._report if problem.code == "PHX002" else self._refuse
        report(problem.code, problem.message, span, problem.help, fix)

    # -- atoms

    def _digits(self, token: Any) -> str:
        """A literal's text in our digits: the tokens take those of other scripts too, such as `٣`."""
        text = str(token)
        if not text.isascii():
            text = re.sub(r"\d", lambda digit: str(int(digit[0])), text)
            self._foreign(self._token(token), text)
        return text

    def _number(self, token: Any) -> n.Number:
        span = self._token(token)
        read, unit = read_number(self._digits(token))
        self._problem(read.problem, span)
        return n.Number(span=span, text=read.text, value=read.value, unit=unit)

    def number(self, _meta: Any, items: list[Any]) -> n.Number:
        return self._number(items[0])

    def _string(self, token: Any) -> n.Text:
        span = self._token(token)
        read = read_text(str(token))
        self._problem(read.problem, span)
        return n.Text(span=span, value=read.value)

    def string(self, _meta: Any, items: list[Any]) -> n.Text:
        return self._string(items[0])

    def _date(self, token: Any) -> n.DateLit:
        read = read_date(self._digits(token))
        self._problem(read.problem, self._token(token))
        return n.DateLit(span=self._token(token), value=read.value)

    def date(self, _meta: Any, items: list[Any]) -> n.DateLit:
        return self._date(items[0])

    def ts(self, _meta: Any, items: list[Any]) -> n.TsLit:
        read = read_instant(self._digits(items[0]))
        self._problem(read.problem, self._token(items[0]))
        return n.TsLit(span=self._token(items[0]), text=read.text, value=read.value)

    def time(self, _meta: Any, items: list[Any]) -> n.TimeLit:
        read = read_time(self._digits(items[0]))
        self._problem(read.problem, self._token(items[0]))
        return n.TimeLit(span=self._token(items[0]), value=read.value)

    def true(self, meta: Any, _items: list[Any]) -> n.Constant:
        return n.Constant(span=self._span(meta), value=True)

    def false(self, meta: Any, _items: list[Any]) -> n.Constant:
        return n.Constant(span=self._span(meta), value=False)

    def null(self, meta: Any, items: list[Any]) -> n.Constant:
        self._word(items[0])
        return n.Constant(span=self._span(meta), value=None)

    def name(self, _meta: Any, items: list[Any]) -> n.Name:
        return n.Name(span=self._token(items[0]), name=str(items[0]))

    def chip_name(self, _meta: Any, items: list[Any]) -> n.ChipName:
        text = str(items[0])[1:]
        return n.ChipName(span=self._token(items[0]), name=read_text(text).value if text.startswith('"') else text)

    def param_name(self, _meta: Any, items: list[Any]) -> n.ParamName:
        return n.ParamName(span=self._token(items[0]), name=str(items[0])[1:])

    # -- values

    def group_expr(self, _meta: Any, items: list[Any]) -> Any:
        return replace(items[0], depth=items[0].depth + 1)

    def call(self, meta: Any, items: list[Any]) -> n.Expr:
        word, span = str(items[0]), self._span(meta)
        args = tuple(a for a in items[1:] if a is not None)
        size = self._over(*args) if args else {}
        lower = word.lower().rpartition(".")[2]
        if lower in ("and", "or") and len(args) > 1:
            ours = f"({f' {lower} '.join(map(self._written, args))})"
            self._report("PHX002", f"`{lower}` stands between what it joins", self._token(items[0]),
                         fix=Fix(span, ours))  # fmt: skip
            kind = n.And if lower == "and" else n.Or
            return kind(span=span, args=args, depth=size["depth"] + 1, size=size["size"])
        if lower in IS_NULL and len(args) == 1:
            self._report("PHX002", f"`{word}(…)` is written `… is null` here", self._token(items[0]),
                         fix=Fix(span, f"{self._written(args[0])} is null"))  # fmt: skip
            return n.Is(span=span, operand=args[0], what="null", negated=False, **size)
        ours = CALLS.get(lower, lower)
        if word != ours and (lower in CALLS or lower in FUNCTIONS) and not (ours == COALESCE and len(args) != 2):
            self._foreign(self._token(items[0]), ours)
            word = ours
        return n.Call(span=span, name=word, args=args, **size)

    def negate(self, meta: Any, items: list[Any]) -> n.Negate:
        self._word(items[0])
        return n.Negate(span=self._span(meta), operand=items[1], **self._over(items[1]))

    def arith(self, meta: Any, items: list[Any]) -> n.Arith:
        left, op, right = items
        return n.Arith(span=self._span(meta), op=self._word(op), left=left, right=right, **self._over(left, right))

    # -- comparisons

    def compare_op(self, _meta: Any, items: list[Any]) -> tuple[str, Any]:
        return self._word(items[0]), items[0]

    def compare(self, meta: Any, items: list[Any]) -> n.Compare:
        operands, ops = tuple(items[0::2]), tuple(op for op, _ in items[1::2])
        return n.Compare(span=self._span(meta), operands=operands, ops=ops, **self._over(*operands))

    def _not(self, token: Any) -> bool:
        if token is not None:
            self._word(token)
        return token is not None

    def set_literal(self, meta: Any, items: list[Any]) -> n.SetLit:
        args = tuple(a for a in items if a is not None)
        if len(args) > MAX_ITEMS:
            self._refuse("PHX004", f"a set of {len(args):,} items; {MAX_ITEMS:,} are allowed", args[MAX_ITEMS].span,
                         "split it over several sets")  # fmt: skip
        return n.SetLit(span=self._span(meta), items=args, size=1 + len(args) // MAX_ITEMS)

    def listed(self, meta: Any, items: list[Any]) -> n.SetLit:
        node = self.set_literal(meta, items)
        text = self._written(node)
        self._report("PHX002", "a set stands in braces", node.span, fix=Fix(node.span, "{" + text[1:-1] + "}"))
        return node

    def range(self, meta: Any, items: list[Any]) -> n.Range:
        low, dots, high = items
        size = self._over(*(p for p in (low, high) if p is not None))
        return n.Range(span=self._span(meta), low=low, high=high, half_open=dots == "..<", **size)

    def range_to(self, meta: Any, items: list[Any]) -> n.Range:
        dots, high = items
        return n.Range(span=self._span(meta), low=None, high=high, half_open=dots == "..<", **self._over(high))

    def in_(self, meta: Any, items: list[Any]) -> n.In:
        operand, negated, word, among = items
        self._word(word)
        return n.In(span=self._span(meta), operand=operand, among=among, negated=self._not(negated),
                    **self._over(operand, among))  # fmt: skip

    def between(self, meta: Any, items: list[Any]) -> n.In:
        operand, negated, word, low, _and, high = items
        start, end = self._token(word).start, high.span.end
        among = n.Range(span=Span(low.span.start, end), low=low, high=high, half_open=False, **self._over(low, high))
        ours = f"in {self._written(low)}..{self._written(high)}"
        self._report("PHX002", f"`{word}` is written `in low..high` here", self._token(word),
                     fix=Fix(Span(start, end), ours))  # fmt: skip
        return n.In(span=self._span(meta), operand=operand, among=among, negated=self._not(negated),
                    **self._over(operand, among))  # fmt: skip

    def like(self, meta: Any, items: list[Any]) -> n.Like:
        operand, negated, word, pattern = items
        self._word(word)
        if "%" in pattern.value and "*" not in pattern.value:
            pattern = replace(pattern, value=pattern.value.replace("%", "*"))
            self._foreign(pattern.span, quoted(pattern.value))
        return n.Like(span=self._span(meta), operand=operand, pattern=pattern, negated=self._not(negated),
                      **self._over(operand))  # fmt: skip

    def contains(self, meta: Any, items: list[Any]) -> n.Like:
        operand, negated, word, text = items
        start = self._token(word)
        before, after = PATTERNS[str(word).lower()[0]]
        pattern = replace(text, value=f"{before}{text.value}{after}")
        # Of a pattern a `*` is no letter; a text of several lines, or of none, is no part to ask for.
        if not text.value or "*" in text.value or "\n" in text.value:
            self._refuse("PHX002", f"`{word}` is written `like` here, and no pattern asks for this text", text.span,
                         'write `like "AA*"`, `like "*AA"` or `like "*AA*"`')  # fmt: skip
        else:
            ours = f"like {quoted(pattern.value)}"
            self._report("PHX002", f"`{word}` is written `{ours}` here", start,
                         fix=Fix(Span(start.start, text.span.end), ours))  # fmt: skip
        return n.Like(span=self._span(meta), operand=operand, pattern=pattern, negated=self._not(negated),
                      **self._over(operand))  # fmt: skip

    # -- is

    def is_(self, meta: Any, items: list[Any]) -> n.Expr:
        operand, word, negated, right = items
        what = None
        if isinstance(right, n.Constant):
            what = _WHAT[right.value]
        elif isinstance(right, n.Name):
            what = NOTHING.get(right.name.lower())
            if what is not None and what != right.name:
                self._foreign(right.span, what)
        if what is None:
            return self._is_value(meta, operand, word, negated, right)
        self._word(word)
        return n.Is(span=self._span(meta), operand=operand, what=what, negated=self._not(negated),
                    **self._over(operand))  # fmt: skip

    def _is_value(self, meta: Any, operand: Any, word: Any, negated: Any, right: Any) -> n.Compare:
        """``side is ask``, ``size isnt 5``."""
        span = Span(self._token(word).start, self._token(negated if negated is not None else word).end)
        op = "!=" if negated is not None else "="
        return self._instead(meta, operand, op, right, span, span)

    def _instead(self, meta: Any, operand: Any, op: str, right: Any, span: Span, over: Span) -> n.Compare:
        if isinstance(operand, n.Compare | n.In | n.Like | n.Is):
            self._refuse("PHX001", "`is` asks for `null`, `true`, `false` or `unknown`", span,
                         "join conditions with `and` or `or`")  # fmt: skip
        else:
            self._foreign(span, op, over=over)
        return n.Compare(span=self._span(meta), operands=(operand, right), ops=(op,), **self._over(operand, right))

    def isnt(self, meta: Any, items: list[Any]) -> n.Expr:
        operand, word, right = items
        if isinstance(right, n.Constant) or (isinstance(right, n.Name) and right.name.lower() in NOTHING):
            self._foreign(self._token(word), "is not")
            what = _WHAT[right.value] if isinstance(right, n.Constant) else NOTHING[right.name.lower()]
            return n.Is(span=self._span(meta), operand=operand, what=what, negated=True, **self._over(operand))
        return self._instead(meta, operand, "!=", right, self._token(word), self._token(word))

    def is_compare(self, meta: Any, items: list[Any]) -> n.Compare:
        operand, word, negated, (op, sign), right = items
        span = Span(self._token(word).start, self._token(sign).end)
        return self._instead(meta, operand, _OPPOSITE[op] if negated is not None else op, right, span, span)

    def is_in(self, meta: Any, items: list[Any]) -> n.In:
        operand, word, negated, inside, among = items
        span = Span(self._token(word).start, self._token(inside).end)
        self._foreign(span, "not in" if negated is not None else "in")
        return n.In(span=self._span(meta), operand=operand, among=among, negated=negated is not None,
                    **self._over(operand, among))  # fmt: skip

    # -- logic

    def not_(self, meta: Any, items: list[Any]) -> n.Not:
        self._word(items[0])
        return n.Not(span=self._span(meta), operand=items[1], **self._over(items[1]))

    def _joined(self, meta: Any, items: list[Any]) -> dict[str, Any]:
        for word in items[1::2]:
            self._word(word)
        args = tuple(items[0::2])
        return {"span": self._span(meta), "args": args, **self._over(*args)}

    def and_(self, meta: Any, items: list[Any]) -> n.And:
        return n.And(**self._joined(meta, items))

    def or_(self, meta: Any, items: list[Any]) -> n.Or:
        return n.Or(**self._joined(meta, items))
