"""Real labelled sequences: functions of installed packages, read from Python's bytecode.

Out  examples as a training set holds them
       user       a function
       installs   its instructions, or the names that it uses   LOAD_FAST, LOAD_ATTR, CALL, …
       label      its package

Order and vocabularies are real. The data comes with the installed project, in the versions that
requirements.lock pins.
"""

import dis
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import CodeType

import numpy as np

from bench.made_up_users import FIRST_DAY, MadeUp, make_examples
from simulator.behaviour import MS_PER_DAY

SHORTEST, LONGEST = 20, 2_000  # events of a function; shorter ones are left out, longer ones cut
LABEL_1_SHARE = 0.3
LOADS = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_FAST"}
GIVEAWAYS = {"self", "pd", "np", "numpy", "pandas"}  # names that reveal the package

Events = Callable[[CodeType], list[str]]


def instruction_users(users: int, seed: int) -> MadeUp:
    """Functions of scikit-learn (label 1) and SciPy by their instructions: about 90, whose order matters."""
    return draw_functions(users, seed, "sklearn", ("scipy",), read_instructions)


def name_users(users: int, seed: int) -> MadeUp:
    """Functions of pandas (label 1), NumPy and scikit-learn by their names: about 17,000, mostly rare."""
    return draw_functions(users, seed, "pandas", ("numpy", "sklearn"), read_names)


def read_instructions(code: CodeType) -> list[str]:
    """Read the names of the instructions: LOAD_FAST, CALL, …"""
    return [instruction.opname for instruction in dis.get_instructions(code)]


def read_names(code: CodeType) -> list[str]:
    """Read the names that the code loads: index, DataFrame, astype, …"""
    loads = (instruction for instruction in dis.get_instructions(code) if instruction.opname in LOADS)
    return [load.argval for load in loads if load.argval not in GIVEAWAYS]


def draw_functions(users: int, seed: int, risky: str, others: tuple[str, ...], read: Events) -> MadeUp:
    """Draw functions at random, LABEL_1_SHARE of them from `risky`, the rest in equal parts from `others`.

    Raises:
        ValueError: the packages have too few functions.
    """
    random = np.random.default_rng(seed)
    with_label_1 = round(LABEL_1_SHARE * users)
    wanted = {risky: with_label_1} | dict.fromkeys(others, (users - with_label_1) // len(others))
    functions: list[list[str]] = []
    labels: list[bool] = []
    for package, count in wanted.items():
        found = [events[:LONGEST] for events in map(read, read_code(package)) if len(events) >= SHORTEST]
        if len(found) < count:
            raise ValueError(f"{users} users need {count} functions of {package}, which has {len(found)}")
        functions += [found[i] for i in random.permutation(len(found))[:count]]
        labels += [package == risky] * count
    order = random.permutation(len(functions))
    lengths = [len(functions[i]) for i in order]
    examples = make_examples(
        np.arange(len(order)),
        np.array(labels)[order],
        np.full(len(order), FIRST_DAY * MS_PER_DAY),
        np.repeat(np.arange(len(order)), lengths),
        np.array([event for i in order for event in functions[i]]),
    )
    return MadeUp(examples, true_risk=None)


def read_code(package: str) -> Iterator[CodeType]:
    """Compiled modules, classes and functions of an installed package, always in the same order."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"expected {package} to be an installed package with files, found {spec}")
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        left = [compile(path.read_bytes(), str(path), "exec")]
        while left:
            code = left.pop()
            left += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
            yield code
