"""Pauses and events in answers of the management API."""

from marshmallow import fields

from app.schemas.answers.base import Answer, Page, extra, flag, instant, kind, listed, number, text
from app.schemas.base import about


class Pause(Answer):
    """A provider refuses requests, so none are sent for a while."""

    id = number("The id.", 7)
    object = kind("pause")
    account = text("The account, `provider/name`.", "openai/main")
    model = text("The model; null for the whole account.", "gpt-4o-mini", null=True)
    project = text("The project; null for all projects.", null=True)
    kind = text("Why.", "rate")
    since = instant("Since when.")
    paused_until = instant("When a line is tried again.")
    pauses = number("How often in a row.", 1)
    status_code = number("The provider's HTTP status.", 429, null=True)
    code = text("The provider's code.", "rate_limit_exceeded", null=True)
    message = text("What the provider said.", null=True)


class PauseList(Page):
    """A page of pauses."""

    data = listed(Pause, "The pauses.")


class OffPeakHours(Answer):
    """Hours in which an account is cheaper."""

    id = text("The hours in words.", "16:30-00:30 UTC 50%")
    object = kind("off_peak")
    model = text("The model; null for all of the account's.", null=True)
    begins = text("When the hours begin.", "16:30")
    ends = text("When they end; the next day if that is earlier.", "00:30")
    zone = text("The time zone of both.", "UTC")
    days = text("The days on which they begin.", "mon,tue,wed,thu,fri,sat,sun")
    percent = number("What is paid then, in percent of the price.", 50)


class OffPeakList(Page):
    """The off-peak hours of an account."""

    data = listed(OffPeakHours, "The hours.")


class PausesEnded(Answer):
    """Pauses that were ended."""

    object = text("The kind of the object.", "pause.deleted", words=["pause.deleted"])
    account = text("The account.", "openai/main")
    deleted = flag("Always true.", True)
    ended = number("How many pauses there were.", 1)
    extra_fields = extra()


class Event(Answer):
    """What was written or refused, and by whom."""

    id = number("The id.", 4711)
    object = kind("event")
    created_at = instant("When.")
    actor = text("Who.", "ci", null=True)
    address = text("From where.", "10.1.2.3", null=True)
    project = text("In which project.", "team-a", null=True)
    virtual_key = text("With which key.", "3f6c0f5a9b2e4d71", null=True)
    source = text("Over which way.", "api", null=True)
    operation = text("What.", "batch_create")
    object_id = text("On what.", "batch_0198f0c2a7d34c5b", null=True)
    outcome = text("How it ended.", "done", words=("done", "refused", "failed"))
    status_code = number("The HTTP status.", 200, null=True)
    latency_ms = number("How long it took.", 12, null=True)
    request_id = text("The request, as in `x-request-id`.", "req_0198f0c2a7d34c5b", null=True)
    detail = fields.Dict(allow_none=True, metadata=about("More, by operation."))


class EventList(Page):
    """A page of events."""

    data = listed(Event, "The events.")
