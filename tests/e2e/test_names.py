"""The longest run name that the chart allows, and task indexes of two digits."""

from tests.e2e.team import Team, job

RESOLVE = """
import json, os, socket, time
config = json.loads(os.environ["TF_CONFIG"])
missing = {address.rpartition(":")[0] for addresses in config["cluster"].values() for address in addresses}
assert socket.gethostname() + "." + os.environ["RUN_NAME"] in missing, socket.gethostname()
print(len(missing), "hosts")
while missing:
    for name in sorted(missing):
        try:
            socket.getaddrinfo(name, None)
            missing.discard(name)
        except socket.gaierror:
            pass
    time.sleep(0.2)
print("all resolved")
time.sleep(15)  # The others may still resolve this host.
"""


def test_longest_name_and_two_digit_indexes_resolve(team: Team) -> None:
    """A run with a 40-character name has 11 workers: every task resolves every host of TF_CONFIG, including its own,
    and exits with 0."""
    run = "a-name-of-40-characters-fits-exactly-xyz"
    assert len(run) == 40
    values = job(
        "MultiWorkerMirrored", trainer={"batchSize": 66}, worker={"replicas": 11}, command=["python", "-c", RESOLVE]
    )
    team.install(run, values | {"env": [{"name": "RUN_NAME", "value": run}]})
    end = team.end(run)
    assert end.jobs == {"worker": "Complete"}
    assert end.codes == {f"worker-{index}": [0] for index in range(11)}
    for index in (0, 10):
        assert "11 hosts" in team.log(run, f"worker-{index}")
