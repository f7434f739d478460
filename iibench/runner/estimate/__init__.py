"""What a run would take: units, memory and time, before it takes it."""
