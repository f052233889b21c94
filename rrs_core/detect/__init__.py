"""From blocks of power to hits."""
