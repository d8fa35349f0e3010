"""Run a batch with Anthropic's SDK, which reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. With `make run`:

.venv/bin/pip install anthropic
. var/client.env
export ANTHROPIC_BASE_URL=${OPENAI_BASE_URL%/v1}/anthropic ANTHROPIC_API_KEY=$OPENAI_API_KEY
.venv/bin/python examples/anthropic_sdk.py
"""

import time

from anthropic import Anthropic

QUESTIONS = ("What is the capital of France?", "Name three primes.", "Say hello in Italian.")

client = Anthropic()

batch = client.messages.batches.create(
    requests=[
        {
            "custom_id": f"question-{number}",
            "params": {
                "model": "smollm2-135m",
                "max_tokens": 60,
                "messages": [{"role": "user", "content": question}],
            },
        }
        for number, question in enumerate(QUESTIONS)
    ]
)
while batch.processing_status != "ended":
    time.sleep(1)
    batch = client.messages.batches.retrieve(batch.id)

print(batch.id, batch.request_counts)
for row in client.messages.batches.results(batch.id):
    if row.result.type == "succeeded":
        print(row.custom_id, "|", row.result.message.content[0].text.strip())
    else:
        print(row.custom_id, "|", row.result)
