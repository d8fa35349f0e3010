"""The names under which metrics count fields of requests: those at the top of the dialects, and no others."""

import re

OTHER = "other"
_TOP = re.compile(r"[a-z_]+")
# What OpenAI's and Anthropic's requests may have at their top; what a caller invents is none of these.
KNOWN = frozenset(
    """
    audio background body cache_control container context_management conversation custom_id dimensions encoding_format
    frequency_penalty function_call functions include input instructions logit_bias logprobs max_completion_tokens
    max_output_tokens max_tokens max_tool_calls mcp_servers messages metadata modalities model n output_config
    output_format parallel_tool_calls prediction presence_penalty previous_response_id prompt prompt_cache_key
    prompt_cache_retention reasoning reasoning_effort response_format safety_identifier seed service_tier speed stop
    stop_sequences store stream stream_options system temperature text thinking tool_choice tools top_k top_logprobs
    top_p truncation user verbosity web_search_options
    """.split()  # noqa: SIM905
)


def shown(param: str) -> str:
    """The field at the top that `param`, such as `tools[1].type`, lies in; `other` if no dialect has it."""
    found = _TOP.match(param)
    return found[0] if found and found[0] in KNOWN else OTHER
