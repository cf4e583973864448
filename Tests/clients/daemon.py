"""A real bananad for one test, with everything that it needs and leaves in a folder of its own."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

import httpx2
import openai

# Whom a test that runs as root takes for apps, both in every user database: root has no quotas.
APP_USERS = (65534, 1)


class Daemon:
    """Starts bananad and waits until it can draw.

    `settings` are those of docs/configuration.md.
    """

    def __init__(self, bananad, models, settings=None, options=()):
        self.folder = tempfile.TemporaryDirectory(prefix="banana-")
        self.socket = os.path.join(self.folder.name, "b.sock")
        config = os.path.join(self.folder.name, "bananad.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(settings or {}, file)
        self.process = subprocess.Popen([
            bananad, "--socket", self.socket, "--models", models, "--config", config, "--state",
            os.path.join(self.folder.name, "state"), *options,
        ])
        self.connections = []
        self.http = self.connection()
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.folder.cleanup()
            raise
        # Another user, whom the tests become, must get to the socket.
        os.chmod(self.folder.name, 0o755)
        os.chmod(self.socket, 0o666)

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                ready = self.http.get("/readyz")
                break
            except httpx2.TransportError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)
        if ready.status_code != 200:
            raise RuntimeError(ready.text)

    def connection(self):
        # Kept open: who opened it is who asks.
        limits = httpx2.Limits(keepalive_expiry=None)
        self.connections.append(httpx2.Client(
            transport=httpx2.HTTPTransport(uds=self.socket, limits=limits),
            base_url="http://localhost", timeout=300,
        ))
        return self.connections[-1]

    def client(self, http=None):
        """The public client, which tries nothing twice by itself."""
        return openai.OpenAI(
            base_url="http://localhost/v1", api_key="unused", http_client=http or self.http,
            max_retries=0,
        )

    def jobs(self):
        return self.http.get("/v1/jobs").json()["data"]

    def stop(self):
        """Stops it as systemd does, and holds it to going cleanly."""
        for connection in self.connections:
            connection.close()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        left = os.path.exists(self.socket)
        self.folder.cleanup()
        assert status == 0, f"bananad exited with {status} on SIGTERM"
        assert not left, "bananad left its socket behind"


@contextlib.contextmanager
def as_app(user=APP_USERS[0]):
    """Lets connections that are opened inside come from a user who is not root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.01)
