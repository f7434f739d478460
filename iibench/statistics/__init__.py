"""Numbers about scores and people's answers: observers, intervals, tests, resampling, agreement, ceilings."""
