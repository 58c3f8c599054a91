"""Changes of a JSON tree that hold for any format."""

from collections.abc import Callable
from random import Random
from typing import Any

from fuzz.mutate import raw
from fuzz.mutate.tree import Number, Object, Slot, dump, parse, some_slot
from fuzz.mutate.words import deep, near_name, near_number, some_name, some_value

Change = Callable[[Random, Any], None]


def changed_tree(random: Random, data: bytes, changes: Change) -> bytes:
    """The JSON with some changes; bytes changed where it is none, and now and then anyway."""
    try:
        tree = parse(data)
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            changes(random, tree)
        made = dump(tree, escaped=random.random() < 0.7)
    except (ValueError, RecursionError):
        return raw.mutate(random, data)
    return raw.mutate(random, made) if random.random() < 0.05 else made


def change_anything(random: Random, tree: Any) -> None:
    """One value or one key, anywhere below the root, changed in place."""
    slot = some_slot(random, tree)
    if slot is None:
        if isinstance(tree, Object):
            tree.pairs.append((some_name(random), some_value(random)))
        return
    match random.randrange(8):
        case 0:
            slot.put(some_value(random))
        case 1 | 2:
            slot.put(_near(random, slot))
        case 3:
            slot.delete()
        case 4:
            slot.insert(slot.key, slot.value)
        case 5:
            slot.insert(some_name(random), some_value(random))
        case 6:
            slot.rename(near_name(random, slot.key))
        case _:
            slot.put(random.choice(([slot.value], Object([("a", slot.value)]), deep(random))))


def _near(random: Random, slot: Slot) -> Any:
    value = slot.value
    if isinstance(value, Number):
        return near_number(random, value)
    if isinstance(value, str):
        return near_name(random, value)
    return some_value(random)
