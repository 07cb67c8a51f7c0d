"""Trees as files that hold numbers and text, never code, written whole or not at all."""
