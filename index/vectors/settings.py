"""What whoever runs tenshot may choose of the vector indexes."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DeviceSettings:
    """How much of the GPUs collections may take."""

    count: int | None = None
    """GPUs to use; None: all that FAISS finds."""
    memory_bytes: int = 0
    """For all collections together, over all GPUs; 0: 4 GiB of each. FAISS can't say in Python what is free."""
    scratch_bytes: int = 256 << 20
    """Working memory of each GPU."""


@dataclass(frozen=True)
class Sizes:
    """Rows at which a collection changes its ways."""

    exact: int = 10_000
    """Up to so many nothing is built: every search looks at all of them."""
    lists: int = 50_000
    """From here on the first segment has inverted lists."""
    flat_first: int = 200_000
    """From here on flat codes are made before the lists are: until then all rows would be looked at."""
    tail: int = 1024
    """So many new rows are sealed, whatever else is being made; a scan of them takes a tenth of a millisecond."""
    merge: int = 4096
    """The other segments go into the first from so many rows on, and from a 32nd of the first's."""
    dead: int = 1000
    """So many dead rows are cleared away when they are a fifth of all."""
    inline: int = 20_000
    """Up to so many, dead ones go while the writer waits: milliseconds."""
    save: int = 4096
    """So many changes are written into a snapshot, and a 50th of the rows; reading them from SQL takes a moment."""
    save_at_end: int = 1000
    """So many changes are when the collection is closed."""
    again_s: float = 60.0
    """Seconds after which what failed is tried again, or earlier, after as many changes as a snapshot takes."""


@dataclass(frozen=True)
class CollectionSettings:
    """What collections may take of the machine."""

    engine: str = "segments"
    """One of `factory.ENGINES`: `segments`, or `exact`, which looks at every row and keeps nothing on the disk."""
    threads: int | None = None
    """Searches of one collection at once; None: one for each processor."""
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    """GPUs, with faiss-gpu."""
    sizes: Sizes = field(default_factory=Sizes)
    """When a collection changes its ways."""
    most_apps: int = 100
    """Apps whose vectors and labels are in memory at once; those that nobody asked for longest are let go."""
