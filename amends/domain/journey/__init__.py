"""A journey as configuration: what marketers write in YAML or fill in as a form."""

from amends.domain.journey.complaint import ComplaintJourney, version_of
from amends.domain.journey.load import JourneyProblem, load_journey

__all__ = ["ComplaintJourney", "JourneyProblem", "load_journey", "version_of"]
