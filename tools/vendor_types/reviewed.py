"""Members that look like ids or models of an account and are none, with the reason. A new one needs a look first."""

# Names that end with `_id` or `_ids`: the gateway's own list, with the reasons.
IDS = {
    "approval_request_id": "pairs an answer with a request in the same body",
    "call_id": "pairs a call with its output",
    "caller_id": "pairs a call with the program that made it",
    "connector_id": "one of a public list; the caller brings the authorization",
    "download_id": "the caller's browser made it",
    "parent_span_id": "the caller's trace",
    "reference_ids": "pairs a citation with its source in the same body",
    "session_id": "a label that the caller makes up",
    "subagent_id": "pairs a call with who made it",
    "tab_id": "the caller's browser made it",
    "tool_call_id": "pairs a call with its output",
    "tool_id": "pairs a call with the tool that made it",
    "tool_use_id": "pairs a call with its output",
    "trace_id": "the caller's trace",
    "user_id": "a label that the caller makes up",
}
# Members by type of the object that has them (and the value of its `type`).
MEMBERS = {
    "SkillParams.skill_id (anthropic)": "everybody has these skills",
    "BetaSkillParams.skill_id (anthropic)": "everybody has these skills",
    "ChatCompletionRequestMessageContentPartDocumentDocument.id": "the caller's own, for citations",
    "ComputerCallOutputAcknowledgedSafetyCheck.id": "pairs an acknowledgement with a check in the same body",
    "PendingSafetyCheck.id": "pairs a check with its acknowledgement in the same body",
    "ToolChoiceParam.id": "pairs a choice with a tool in the same body",
}
# Members whose text is no id, though an object with one may be in its place.
TEXTS = {
    "CompletionCreateParamsNonStreaming.tool_choice": "a word, or a tool in the same body",
    "ResponseCreateParamsNonStreaming.input": "text for the model",
    "ResponsesRequest.input": "text for the model",
    "ChatCompletionAudioParam.voice": "a public name; a voice of the account's is an object with an id",
}
# Models that are not used by the line.
MODELS = {
    "excluded_models": "models that are not to be used",
    "ChatAssistantMessage.model": "which model gave an earlier answer",
}
# Objects that are earlier output.
EARLIER_OUTPUT = (
    "Output",
    "ImageGenerationCallSvgUsage",
    "BetaFallbackInfo",
    "FailedModel",
    "PartialCoverage",
    "Stance",
    "UniqueInsight",
)
