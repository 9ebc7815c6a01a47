"""What keeps spans and events until a destination has them."""
