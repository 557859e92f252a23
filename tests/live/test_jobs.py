"""Background jobs with real processes: one at a time, killed without warning, resumed, reported."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.cli import HEADLESS
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.files import locked
from livestyle.image.io import load_image, save_image
from livestyle.live.job_process import ProgressFile
from livestyle.live.jobs import CANCELLED, DONE, FAILED, RUNNING, STOPPED, WAITING, Job, Jobs

QUICK = ("list", "sinks")
ENDLESS = ("live", "--source", "demo", "--sink", "null", "--background", "none", "--frames", "1000000")
TIMEOUT_S = 120.0
CODE = """
import pathlib, sys
from livestyle.live import job_process, jobs
job_process.lower_priority = int
jobs.Jobs(pathlib.Path(sys.argv[1])).run()
"""
RUNNER = (sys.executable, "-c", CODE)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, and fail after TIMEOUT_S."""
    until, never = time.monotonic() + TIMEOUT_S, threading.Event()
    while not condition():
        assert time.monotonic() < until, "timeout"
        never.wait(0.03)


class ManualJobs(Jobs):
    """Jobs that start no runner by themselves: the tests do, at their own priority."""

    def start_runner(self) -> None: ...


@pytest.fixture(autouse=True)
def _same_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run jobs at the priority of the tests. At the lowest, other work would delay them for minutes."""
    monkeypatch.setattr("livestyle.live.job_process.lower_priority", int)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = ManualJobs(tmp_path / "jobs")
    yield jobs
    for job in jobs.all():
        if job.state == RUNNING and job.pid:
            os.kill(job.pid, signal.SIGKILL)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    save_image(tmp_path / "in.png", draw_card(20, 16))
    return tmp_path / "in.png"


def copy_command(picture: Path, name: str) -> tuple[tuple[str, ...], Path]:
    """Return a quick command that makes a picture, and the picture."""
    out = picture.with_name(name)
    return ("photo", str(picture), str(out), "--background", "none"), out


def start(jobs: Jobs) -> threading.Thread:
    runner = threading.Thread(target=jobs.run, daemon=True)
    runner.start()
    return runner


def wait_until_running(jobs: Jobs, number: int) -> Job:
    """Return a job once it runs and has reported progress."""
    wait_for(lambda: jobs.find(number).state == RUNNING and jobs.find(number).progress > 0)
    return jobs.find(number)


def send(number: signal.Signals, job: Job) -> None:
    """Send a signal to a job. To no process ID the tests themselves would get it."""
    assert job.pid, job.state
    os.kill(job.pid, number)


def test_waiting_jobs_run_oldest_first_and_record_how_they_ended(jobs: Jobs, picture: Path) -> None:
    first = jobs.add(*copy_command(picture, "first.png"))
    broken = jobs.add(("photo", "gone.png", str(picture.with_name("never.png"))), picture.with_name("never.png"))
    last = jobs.add(QUICK, picture)
    assert [job.state for job in jobs.all()] == [WAITING] * 3
    jobs.run()
    found = jobs.all()
    assert [job.id for job in found] == [first.id, broken.id, last.id]
    assert [job.state for job in found] == [DONE, FAILED, DONE]
    assert found[1].note == "There is no file gone.png. Check the name."
    assert (found[0].started or 0) < (found[0].ended or 0) <= (found[1].started or 0) < (found[2].started or 0)
    assert (load_image(Path(found[0].result)) == load_image(picture)).all()
    assert [job.id for job in jobs.pop_ended()] == [1, 2, 3]
    assert jobs.pop_ended() == []  # each is reported once
    assert [job.id for job in jobs.clear()] == [1, 2, 3]
    assert jobs.all() == []
    assert Path(found[0].result).is_file()


def test_a_killed_job_can_be_resumed_and_others_go_on(jobs: Jobs, picture: Path) -> None:
    jobs.add(ENDLESS, picture)
    jobs.add(QUICK, picture)
    runner = start(jobs)
    first = wait_until_running(jobs, 1)
    assert jobs.find(2).state == WAITING
    jobs.run()  # a second runner ends at once
    assert jobs.find(1).pid == first.pid
    assert jobs.find(2).state == WAITING
    send(signal.SIGKILL, first)
    runner.join(TIMEOUT_S)
    assert [job.state for job in jobs.all()] == [STOPPED, DONE]
    assert "signal 9" in jobs.find(1).note
    assert "resume 1" in jobs.find(1).sentence
    assert jobs.find(1).progress > 0
    assert jobs.clear()[0].id == 2  # one that can be resumed is kept
    assert jobs.resume(1).state == WAITING
    runner = start(jobs)
    assert wait_until_running(jobs, 1).pid != first.pid
    assert jobs.cancel(1).state == CANCELLED
    runner.join(TIMEOUT_S)
    assert not runner.is_alive()
    assert jobs.find(1).state == CANCELLED


def test_a_child_whose_runner_is_killed_goes_on_alone(jobs: Jobs, picture: Path) -> None:
    jobs.add(ENDLESS, picture)
    jobs.add(QUICK, picture)
    runner = subprocess.Popen([*RUNNER, str(jobs.folder)], stderr=subprocess.DEVNULL)
    child = wait_until_running(jobs, 1)
    runner.kill()
    runner.wait()
    jobs.run()  # the child still holds the turn
    assert [job.state for job in jobs.all()] == [RUNNING, WAITING]
    send(signal.SIGKILL, child)
    wait_for(lambda: jobs.find(1).state != RUNNING)
    assert jobs.find(1).state == STOPPED
    jobs.run()
    assert [job.state for job in jobs.all()] == [STOPPED, DONE]


def test_a_child_whose_runner_is_killed_can_still_finish(jobs: Jobs, picture: Path) -> None:
    jobs.add(*copy_command(picture, "out.png"))
    runner = subprocess.Popen([*RUNNER, str(jobs.folder)], stderr=subprocess.DEVNULL)
    wait_for(lambda: jobs.find(1).state == RUNNING)
    runner.kill()
    runner.wait()
    wait_for(lambda: jobs.find(1).state != RUNNING)
    assert jobs.find(1).state == DONE


def test_the_end_shows_a_desktop_notification(
    jobs: Jobs, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = tmp_path / "bin" / "notify-send"
    notifier.parent.mkdir()
    notifier.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told')
    notifier.chmod(0o755)
    monkeypatch.setenv("PATH", f"{notifier.parent}:{os.environ['PATH']}")
    jobs.add(QUICK, picture)
    jobs.run()
    assert (tmp_path / "told").read_text() == f"livestyle Job 1 is done: {picture}\n"


def test_a_reused_process_id_is_not_mistaken_for_the_job(jobs: Jobs, picture: Path) -> None:
    """As after a power cut: the record says that the job runs, and its process ID is another's now."""
    jobs.add(ENDLESS, picture)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record = jobs.folder / "1" / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "state": RUNNING, "pid": bystander.pid}))
    assert jobs.find(1).state == STOPPED
    assert jobs.cancel(1).state == CANCELLED
    assert bystander.poll() is None
    bystander.communicate(b"\n")
    assert bystander.returncode == 0


def test_a_process_that_is_asked_to_end_has_stopped_and_is_not_done(jobs: Jobs, picture: Path) -> None:
    jobs.add(ENDLESS, picture)
    runner = start(jobs)
    send(signal.SIGTERM, wait_until_running(jobs, 1))
    runner.join(TIMEOUT_S)
    assert jobs.find(1).state == STOPPED


def test_invalid_requests_and_records_are_refused(jobs: Jobs, picture: Path) -> None:
    with pytest.raises(UserError, match="no job 7"):
        jobs.find(7)
    jobs.add(*copy_command(picture, "out.png"))
    with pytest.raises(UserError, match="waiting"):
        jobs.resume(1)
    jobs.cancel(1)
    jobs.run()
    assert jobs.find(1).state == CANCELLED
    with pytest.raises(UserError, match="cancelled"):
        jobs.cancel(1)
    assert jobs.pop_ended() == []  # who cancels knows already
    (jobs.folder / "2").mkdir()  # a folder without a record yet
    (jobs.folder / "3").mkdir()
    (jobs.folder / "3" / "job.json").write_text("{")
    assert [job.id for job in jobs.all()] == [1]
    assert jobs.add(*copy_command(picture, "out.png")).id == 4
    (picture.parent / "file").touch()
    with pytest.raises(UserError, match="cannot be used"):
        ManualJobs(picture.parent / "file" / "jobs").add(*copy_command(picture, "out.png"))


def test_a_job_outlives_who_queued_it_at_the_lowest_priority(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from livestyle.live.jobs import Jobs; "
        "Jobs(pathlib.Path(sys.argv[1])).add(sys.argv[2:], pathlib.Path())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "jobs"), *ENDLESS], check=True, timeout=TIMEOUT_S)
    jobs = ManualJobs(tmp_path / "jobs")
    wait_for(lambda: jobs.find(1).state == RUNNING)
    child = jobs.find(1).pid or 0
    assert os.getsid(child) not in (0, os.getsid(0))  # neither Ctrl-C in this terminal nor its end reaches it
    assert os.getpriority(os.PRIO_PROCESS, child) == 19
    if hasattr(os, "SCHED_IDLE"):
        assert os.sched_getscheduler(child) == os.SCHED_IDLE
    jobs.cancel(1)


def test_progress_and_the_time_left_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("livestyle.live.job_process.time.monotonic", lambda: now[0])
    progress, written = ProgressFile(str(tmp_path / "progress.json")), []
    for now[0], share in ((10.0, 0.2), (10.1, 0.21), (12.0, 0.4), (14.0, 0.6)):  # the second is too soon
        progress(share, f"{share:g}")
        written.append(json.loads((tmp_path / "progress.json").read_text()))
    assert [one["note"] for one in written] == ["0.2", "0.2", "0.4", "0.6"]
    assert [one["progress"] for one in written] == [0.2, 0.2, 0.4, 0.6]
    assert [one["seconds_left"] for one in written] == [None, None, 6.0, 4.0]
    now[0] = 16.0
    progress(0.1, "")  # another bar
    assert json.loads((tmp_path / "progress.json").read_text())["seconds_left"] is None
    now[0] = 18.0
    progress(0.3, "")
    written.append(json.loads((tmp_path / "progress.json").read_text()))
    assert written[-1]["seconds_left"] == 7.0
    progress.end(2)
    assert json.loads((tmp_path / "progress.json").read_text()) == {**written[-1], "code": 2}


def test_progress_without_a_file_or_folder_is_dropped(tmp_path: Path) -> None:
    for file in (None, str(tmp_path / "gone" / "progress.json")):
        progress = ProgressFile(file)
        progress(0.5, "")
        progress.stopped()
        progress.end(0)
    assert not list(tmp_path.iterdir())


def test_the_commands(tmp_path: Path, picture: Path) -> None:
    """They use the folder of the user's own jobs."""
    place = {**HEADLESS, "XDG_STATE_HOME": str(tmp_path / "state")}

    def livestyle(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "livestyle", "jobs", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=place, timeout=300, check=False)
        assert done.returncode == code, done.stderr
        return done

    assert "no jobs" in livestyle().stderr
    assert json.loads(livestyle("--json").stdout) == []
    assert "no job 1" in livestyle("show", "1", code=2).stderr
    jobs = ManualJobs(tmp_path / "state" / "livestyle" / "jobs")
    jobs.add(*copy_command(picture, "out.png"))
    jobs.cancel(1)
    assert "cancelled" in livestyle("list").stdout
    with locked(jobs.folder / "turn"):  # so no other runner is started
        assert json.loads(livestyle("resume", "1", "--json").stdout)["state"] == WAITING
    jobs.run()
    assert str(picture.with_name("out.png")) in livestyle("show", "1").stderr
    assert json.loads(livestyle("show", "1", "--json").stdout)["log"]
    assert "done" in livestyle("cancel", "1", code=2).stderr
    assert "1 job" in livestyle("clear").stderr
