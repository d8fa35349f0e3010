"""The fake behind the providers of batchgate_jobs: OpenAI's, with jobs that carry their lines and can be deleted."""

from typing import Any

from werkzeug import Request

from tests.fakes.openai_app import Refusal
from tests.fakes.openai_lists import json_of
from tests.fakes.openai_provider_app import OVER, OpenAIProviderApp
from tests.fakes.provider_app import Body, FakeJob, Handler


class JobsApp(OpenAIProviderApp):
    """Switches: those of the fake; `no_room`, how many jobs fail for want of room; `forgets`, results left out."""

    def __init__(self, **options: Any) -> None:
        self.no_room = 0
        self.forgets: set[str] = set()
        super().__init__(**options)

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [("DELETE", r"/v1/batches/([^/]+)", self._delete_job), *super().routes()]

    def _create_job(self, request: Request) -> Body:
        asked = json_of(request)
        if asked.get("requests"):
            file = self.add_file(asked["requests"].encode(), filename="inline.jsonl", purpose="batch")
            asked["input_file_id"] = file.id
        return self._create(asked)

    def _create(self, asked: Body) -> Body:
        if asked["input_file_id"] not in self.files:
            raise Refusal(400, "The input file is absent.", param="input_file_id")
        job = self.add_job(
            [],
            endpoint=asked["endpoint"],
            model="",
            input_id=asked["input_file_id"],
            fields={"window": asked["completion_window"], "metadata": asked.get("metadata")},
        )
        return self.job_object(job)

    def _delete_job(self, _: Request, name: str) -> Body:
        if self.job(name).state not in OVER:
            raise Refusal(409, "The batch is not over.")
        del self.jobs[name]
        return {"id": name, "deleted": True}

    def look(self, job: FakeJob) -> FakeJob:
        if job.state == "validating" and self.no_room:
            self.no_room -= 1
            text = "Enqueued token limit reached for m. Please try again once some batches have been completed."
            job.fields["errors"] = [{"code": "token_limit_exceeded", "message": text, "param": None, "line": None}]
            job.state = "failed"
            return job
        return super().look(job)

    def write_results(self, job: FakeJob) -> None:
        job.results = [result for result in job.results if result.custom_id not in self.forgets]
        super().write_results(job)
