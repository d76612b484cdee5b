"""A pickle machine that runs nothing: it walks the opcodes and asks an allow-list what each named thing stands for.

A pickle is a program for a stack machine (the opcodes are those of Python's ``pickletools``). Here no opcode can reach Python:
names become entries of the allow-list (``vocabulary.py``) or the file is refused, objects become inert records, and only
our own functions are ever called.
"""

from __future__ import annotations

import codecs
import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn

from tokenhmr.safefile.records import Named, Record, Unfinished, check_key

_OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
_CONSTANTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # of Python 2: bytes, whatever they are called
_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_DAMAGE = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    EOFError,
    AttributeError,
    RuntimeError,
    struct.error,
    DeprecationWarning,
)


class Machine:
    """Reads one pickle from where the stream stands to its STOP."""

    def __init__(
        self,
        stream: IO[bytes] | Any,  # anything with read, readline and tell that never returns more than there is
        *,
        name: str,  # of the file, for messages
        size: int,  # of the file: what is made may not outgrow it by much
        vocabulary: Mapping[str, Named],
        packages: frozenset[str],  # names under these packages all become records
        encoding: str = "latin1",  # of Python 2 strings; "bytes" leaves them as they are
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.stream, self.name, self.encoding = stream, name, encoding
        self.vocabulary, self.packages, self.persistent = vocabulary, packages, persistent
        self.budget = 8 * size + 2**20
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.opcode, self.at = "", 0

    def run(self) -> Any:
        """The object of the pickle. Raises one ``ValueError`` that names the file, the opcode and its byte."""
        try:
            while True:
                arg = self._next()
                if self.opcode == "STOP":
                    return self.stack.pop()
                self._step(arg)
        except _DAMAGE as error:
            if isinstance(error, ValueError) and str(error).startswith(self.name):
                raise
            reason = str(error) or type(error).__name__
            raise ValueError(f"{self.name} cannot be read: {self.opcode or 'opcode'} at byte {self.at}: {reason}") from error

    def skip(self) -> None:
        """Go past one pickle without doing what it says."""
        try:
            while self.opcode != "STOP":
                self._next()
        except _DAMAGE as error:
            raise ValueError(f"{self.name} cannot be read: {self.opcode or 'opcode'} at byte {self.at}: {error}") from error

    def refuse(self, what: str) -> NoReturn:
        """Give up on the file, naming the opcode that is at fault."""
        raise ValueError(f"{self.name} was refused and nothing in it run: {self.opcode} at byte {self.at} {what}")

    def spend(self, size: int) -> None:
        """Account for memory that grows by more than what was read: small files must not unfold into large ones."""
        self.budget -= size
        if self.budget < 0:
            self.refuse("unfolds to far more than the file holds")

    def apply(self, named: Any, args: Any) -> Any:
        """What a call of a name gives: of all callables only names of the allow-list are known."""
        if not isinstance(named, Named) or not isinstance(args, tuple):
            self.refuse(f"calls a {type(named).__name__}")
        if named.make is None:
            return Record(named.name, args)
        return named.make(self, *args)

    def find(self, module: str, name: str) -> Named:
        """The meaning of a name, or the end of the reading."""
        full = f"{module}.{name}"
        if full in self.vocabulary:
            return self.vocabulary[full]
        if module.partition(".")[0] in self.packages and full.isprintable():
            return Named(full)
        return self.refuse(f"asks for {full!a:.100}, which no file of weights, bodies or annotations needs")

    def _next(self) -> Any:
        self.at = self.stream.tell()
        code = self.stream.read(1)
        self.opcode = ""
        if not code:
            raise EOFError("the file ends too early")
        if code not in _OPCODES:
            raise ValueError(f"{code!r} is no opcode: this is not a pickle")
        opcode = _OPCODES[code]
        self.opcode = opcode.name
        if opcode.name == "STRING":
            return self._quoted(self.stream.readline())
        return None if opcode.arg is None else opcode.arg.reader(self.stream)

    @staticmethod
    def _quoted(line: bytes) -> str:
        """A text string of protocol 0, whose bytes pickletools takes for ASCII."""
        text = line.rstrip()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
            raise ValueError("a string without its quotes")
        return codecs.escape_decode(text[1:-1])[0].decode("latin1")  # pyright: ignore[reportAttributeAccessIssue]

    def _step(self, arg: Any) -> None:
        opcode = self.opcode
        if opcode in _CONSTANTS:
            self.stack.append(arg)
        elif opcode in _STRINGS:
            self.stack.append(self._text(arg))
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _STEPS:
            _STEPS[opcode](self, arg)
        else:
            self.refuse("is none that files of weights, bodies or annotations need")

    def _text(self, latin: str) -> str | bytes:
        if self.encoding == "latin1":
            return latin
        raw = latin.encode("latin1")
        return raw if self.encoding == "bytes" else raw.decode(self.encoding)

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def _keep(self, place: Any) -> None:
        place = len(self.memo) if place is None else int(place)
        top = self.memo[place] = self.stack[-1]
        if isinstance(top, Unfinished):
            top.places.append(place)

    def _tuple(self, length: int) -> None:
        parts = self.stack[len(self.stack) - length :]
        if len(parts) < length:
            raise IndexError("an empty stack")
        self.stack[len(self.stack) - length :] = [tuple(parts)]

    def _set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Record) else target
        if type(entries) is not dict:
            self.refuse(f"puts entries into a {type(target).__name__}")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            entries[check_key(key)] = value

    def _append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        elements = target.elements if isinstance(target, Record) else target
        if type(elements) is not list:
            self.refuse(f"puts elements into a {type(target).__name__}")
        elements.extend(items)

    def _add(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not set:
            self.refuse(f"puts elements into a {type(self.stack[-1]).__name__}")
        self.stack[-1].update(check_key(item) for item in items)

    def _dict(self, items: list[Any]) -> None:
        self.stack.append({})
        self._set_items(items)

    def _global(self, joined: str) -> None:
        module, _, name = joined.partition(" ")
        self.stack.append(self.find(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            self.refuse("asks for a name that is no text")
        self.stack.append(self.find(module, name))

    def _reduce(self, _: Any) -> None:
        args, named = self.stack.pop(), self.stack.pop()
        self.stack.append(self.apply(named, args))

    def _new_with_names(self, _: Any) -> None:
        if self.stack.pop() != {}:
            self.refuse("passes arguments by name")
        self._reduce(None)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Unfinished):
            self.stack[-1] = target.finish(self, target.given, state)
            for place in target.places:
                self.memo[place] = self.stack[-1]
        elif isinstance(target, Record):
            # Attributes, or attributes and slots.
            for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
                if isinstance(part, dict):
                    target.state.update(part)
                elif part is not None:
                    target.state["state"] = part
        elif not (type(target) is dict and isinstance(state, dict)):  # attributes of an OrderedDict are let go
            self.refuse(f"sets the state of a {type(target).__name__}")

    def _persistent(self, identity: Any) -> None:
        if self.persistent is None:
            self.refuse("points outside of the file")
        self.stack.append(self.persistent(identity))


_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
    "PROTO": lambda machine, version: None,
    "FRAME": lambda machine, size: None,
    "MARK": Machine._mark,
    "POP": Machine._pop,
    "POP_MARK": lambda machine, _: machine._marked(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": Machine._keep,
    "BINPUT": Machine._keep,
    "LONG_BINPUT": Machine._keep,
    "MEMOIZE": Machine._keep,
    "GET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memo[place]),
    "LIST": lambda machine, _: machine._push(machine._marked()),
    "DICT": lambda machine, _: machine._dict(machine._marked()),
    "TUPLE": lambda machine, _: machine._push(tuple(machine._marked())),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "SETITEM": lambda machine, _: machine._set_items([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine._set_items(machine._marked()),
    "APPEND": lambda machine, _: machine._append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._marked()),
    "ADDITEMS": lambda machine, _: machine._add(machine._marked()),
    "FROZENSET": lambda machine, _: machine._push(frozenset(check_key(item) for item in machine._marked())),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._reduce,
    "NEWOBJ_EX": Machine._new_with_names,
    "BUILD": Machine._build,
    "PERSID": Machine._persistent,
    "BINPERSID": lambda machine, _: machine._persistent(machine.stack.pop()),
}
