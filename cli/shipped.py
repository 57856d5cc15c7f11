"""The journeys of this installation: the files in deployments/journeys/."""

from pathlib import Path

from cli.guard import Trouble

FOLDER = Path(__file__).resolve().parents[1] / "deployments" / "journeys"


def all_journeys() -> list[Path]:
    """Every journey file. Raises Trouble when there is none."""
    if found := sorted(FOLDER.glob("*.yaml")):
        return found
    raise Trouble("there is no journey in deployments/journeys/; name one: JOURNEY.yaml", 2)


def only_journey() -> Path:
    """The one journey file. Raises Trouble when there are several, naming them."""
    found = all_journeys()
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found)
    raise Trouble(f"deployments/journeys/ holds several journeys ({names}); name one with --journey", 2)
