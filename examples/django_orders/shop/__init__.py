"""Orders of tea and what belongs to it, from the basket to the parcel."""
