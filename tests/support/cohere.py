"""What the tests of Cohere's connector share: datasets and batches up to their end."""

from app.connectors.contract.objects import NativeJob
from tests.support.native_jobs import CHAT, encoded, job_lines, new_file, new_job, until_over

MODEL = "command-a-03-2025"
EMBEDDINGS = "/v1/embeddings"


def upload(connector, data, *, endpoint=CHAT):
    """A dataset of these rows, checked."""
    file = connector.upload_file(new_file(data, endpoint=endpoint, filename="in.jsonl"))
    for _ in range(3):
        if file.status != "processing":
            return file
        file = connector.retrieve_file(file.id)
    raise AssertionError(file)


def submit(connector, lines=None, *, endpoint=CHAT):
    """A job of these lines, by default of those that all connectors are tested with."""
    lines = list(job_lines(MODEL) if lines is None else lines)
    file = upload(connector, encoded(connector, lines), endpoint=endpoint)
    return connector.create_job(new_job(MODEL, lines=len(lines), input_id=file.id, endpoint=endpoint))


def over(connector, job, *, endpoint=CHAT):
    """The job when it is over, as the gateway hands it back for its results, which are there."""
    job = until_over(connector, job)
    while connector.retrieve_file(job.output_id).status == "processing":
        pass
    return NativeJob(job.id, job.status, output_id=job.output_id, endpoint=endpoint, model=job.model)
