"""What must survive a restart. The only place with SQL."""

from yamori.store.opening import Store, open_store
from yamori.store.recording import Bounds, read_recording

__all__ = ["Bounds", "Store", "open_store", "read_recording"]
