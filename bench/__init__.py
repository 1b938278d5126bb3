"""What takes minutes and is measured, not asserted."""
