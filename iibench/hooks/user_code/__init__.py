"""The user's own Python files: imported from their folder, apart from all others, and what they raise.

Importing this package is enough to find the modules of folders by the names that they have here, as
processes do that are handed an object of one.
"""

from iibench.hooks.user_code import folder as folder
