"""The one grammar of all messages that refuse an input."""

import re

GRAMMAR = re.compile(r"^\S.*?: got .+; expected .+\. [A-Z].+\.$")
"""KEY: got VALUE; expected RULE. FIX."""
