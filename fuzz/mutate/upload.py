"""Upload folders: the weights, the config, or what lies beside, changed as each is by itself."""

from dataclasses import replace
from random import Random

from fuzz.mutate import config, header, raw
from fuzz.parcel import MLX_NAME, NO_CONFIG, NO_MODEL, STRIP, TWICE, Parcel


def mutate(random: Random, data: bytes) -> bytes:
    parcel = Parcel.of(data)
    match random.randrange(20):
        case 0:
            return raw.mutate(random, data)
        case 1:
            flags = random.choice(
                (MLX_NAME, NO_CONFIG, NO_MODEL, 16, 32, 48, 64, 80, 96, 112, TWICE)
            )
            parcel = replace(parcel, flags=parcel.flags ^ flags)
        case 2 | 3 | 4 | 5 | 6 | 7:
            parcel = replace(parcel, config=config.mutate(random, parcel.config))
        case 8 | 9:
            parcel = replace(
                parcel,
                config=config.mutate(random, parcel.config),
                model=header.mutate(random, parcel.model),
            )
        case _:
            parcel = replace(parcel, model=header.mutate(random, parcel.model))
    if random.random() < 0.5:
        parcel = replace(parcel, flags=parcel.flags ^ STRIP)
    return parcel.pack()
