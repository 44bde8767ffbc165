"""Latent replay: the experiment and nothing else. It imports torch and itself; its `fast` also NumPy and numba.

Read in this order: `settings` (what can be set, and why), `tasks`, `models` (Tables 1 and 2), `memory`, `training` (the
loop), `metrics`, `experiment` (tasks learned one after the other). `device` says where it computes, `fast` has the same
networks in compiled steps.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "settings": ("CASES", "CLASSES", "EVALUATIONS", "Case", "Settings"),
    "tasks": ("Dataset", "Task", "split"),
    "models": ("Classifier", "Compressor"),
    "memory": ("LatentMemory", "pixel_share"),
    "training": ("Epoch", "Trainer"),
    "experiment": ("Evaluation", "TaskSequence"),
    "device": ("Compute", "resolve"),
    "errors": ("LatentReplayError", "UsageError"),
    "fast": ("accelerate",),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = [*_MODULE_OF, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:  # else imported only now: most need torch, which takes seconds
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
