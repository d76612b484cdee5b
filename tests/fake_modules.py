"""Classes of packages that no reader of a file has: there while the file is written, gone when it is read."""

import contextlib
import sys
import types


@contextlib.contextmanager
def fake(**classes):
    """``fake(yacs__config=[CfgNode])`` makes ``yacs.config.CfgNode`` for as long as it is open."""
    made = []
    for dotted, kinds in classes.items():
        path = dotted.replace("__", ".")
        parts = path.split(".")
        for name in (".".join(parts[: count + 1]) for count in range(len(parts))):
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                made.append(name)
        for kind in kinds:
            kind.__module__, kind.__qualname__ = path, kind.__name__
            setattr(sys.modules[path], kind.__name__, kind)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]
