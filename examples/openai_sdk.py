"""Run a batch with the OpenAI SDK, which reads OPENAI_BASE_URL and OPENAI_API_KEY. `make run` writes both to a file:

.venv/bin/pip install openai
. var/client.env
.venv/bin/python examples/openai_sdk.py
"""

import json
import time
from pathlib import Path

from openai import OpenAI

client = OpenAI()

uploaded = client.files.create(file=Path(__file__).with_name("chat.jsonl"), purpose="batch")
batch = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(1)
    batch = client.batches.retrieve(batch.id)

print(batch.id, batch.status, batch.request_counts)
if batch.output_file_id:
    for line in client.files.content(batch.output_file_id).iter_lines():
        answer = json.loads(line)
        print(answer["custom_id"], "|", answer["response"]["body"]["choices"][0]["message"]["content"].strip())
