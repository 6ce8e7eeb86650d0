"""Print the comment about the result of a run, from TEAM, RUN, STATE and MESSAGE of the environment."""

import os

from tfd.review.output.markdown import code


def main() -> None:
    """Print the comment. The four values are untrusted, so each is inline code."""
    team, run, state, message = (os.environ[name] for name in ("TEAM", "RUN", "STATE", "MESSAGE"))
    print(f"{code(f'{team}/{run}')} ended: {code(state)}\n\n{code(message, 2000)}")


if __name__ == "__main__":
    main()
