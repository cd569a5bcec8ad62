"""Four tests poll the same job; run them with `-n 4` and each worker sees the job begin, run and end."""

import os
import time

import pytest
import requests

API = os.environ.get("API", "https://api.example.com")


@pytest.mark.parametrize("copy", range(4))
def test_a_job_runs_to_its_end(copy):
    states = []
    while not states or states[-1] != "done":
        states.append(requests.get(f"{API}/jobs/1", timeout=10).json()["state"])
        time.sleep(0.1)
    assert states == ["queued", "running", "done"]
