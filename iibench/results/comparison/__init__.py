"""Two runs compared, case by case and unit by unit."""
