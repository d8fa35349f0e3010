"""Which members of lines that name an object or a model pass the gateway's checks, and nobody has looked at."""

from collections.abc import Iterator

from app.services.lines import models, owned_ids
from tools.vendor_types import requests, reviewed
from tools.vendor_types.walk import VALUE, Leaf, leaves

MODEL_NAMES = models.NAMES | models.ADAPTERS | {"model"}


def ids(leaf: Leaf) -> Iterator[str]:
    """The member, if it is an id that passes."""
    word = owned_ids.word_of(leaf.name)
    if not (word == "id" or word.endswith(("_id", "_ids")) or leaf.may_be_object):
        return
    for body, kind in leaf.bodies():
        if owned_ids.find(body) is not None:
            continue
        key = leaf.key if kind is None else f"{leaf.key} ({kind})"
        # In a list, an id beside other things that are needed only tells one item from another.
        tells_items_apart = word == "id" and leaf.in_list and not leaf.is_pure_reference
        is_known = word in reviewed.IDS or {key, leaf.key} & (reviewed.MEMBERS.keys() | reviewed.TEXTS.keys())
        if not tells_items_apart and not is_known:
            yield key


def model_names(leaf: Leaf) -> Iterator[str]:
    """The member, if it names a model that passes."""
    word = owned_ids.word_of(leaf.name)
    if not (word in MODEL_NAMES or word.endswith(("_model", "_models"))) or word in reviewed.MODELS:
        return
    if leaf.key in reviewed.MODELS or leaf.holder.startswith(reviewed.EARLIER_OUTPUT):
        return
    for body, _ in leaf.bodies():
        if VALUE not in [name for _, name in models.named(body)]:
            yield leaf.key


def report() -> Iterator[str]:
    """One line for each member that passes, with its vendor."""
    for source, request in requests.each():
        for leaf in leaves(request):
            yield from (f"{source}: {key} is an id" for key in ids(leaf))
            yield from (f"{source}: {key} names a model" for key in model_names(leaf))
