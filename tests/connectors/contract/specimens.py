"""Every specimen of the contract suite."""

from app.connectors.catalogue import registry
from tests.connectors.anthropic.specimen import SPECIMEN as ANTHROPIC
from tests.connectors.bedrock.specimen import SPECIMEN as BEDROCK
from tests.connectors.cohere.specimen import SPECIMEN as COHERE
from tests.connectors.contract.specimen import Specimen
from tests.connectors.fireworks.specimen import SPECIMEN as FIREWORKS
from tests.connectors.gemini.specimen import SPECIMEN as GEMINI
from tests.connectors.mistral.specimen import SPECIMEN as MISTRAL
from tests.connectors.openai.specimen import FAMILY, LINES_ONLY
from tests.connectors.openrouter.specimen import SPECIMEN as OPENROUTER
from tests.connectors.replicate.specimen import SPECIMEN as REPLICATE
from tests.connectors.together.specimen import SPECIMEN as TOGETHER
from tests.connectors.vertex.specimen import SPECIMEN as VERTEX
from tests.connectors.xai.specimen import SPECIMEN as XAI

OWN = (ANTHROPIC, BEDROCK, COHERE, FIREWORKS, GEMINI, MISTRAL, OPENROUTER, REPLICATE, TOGETHER, VERTEX, XAI)
SPECIMENS = (*FAMILY, *LINES_ONLY, *OWN)
STORES_ONLY = {"elevenlabs", "runway"}  # the gateway keeps their files, and never calls them


def abilities(specimen: Specimen):
    """What the catalogue declares of a specimen's provider."""
    return registry.abilities(specimen.provider)
