"""placeholder"""
def apply() -> None:
    """Mend."""
