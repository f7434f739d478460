"""A run folder's tables, leaderboards and verdicts; two runs compared."""
