from __future__ import annotations

import urllib.request

import pytest

from trainer.runtime import proxies, tf_config

HOSTS = ["run-worker-0.run", "run-worker-1.run"]
OURS = "run-worker-0.run,run-worker-1.run,localhost,127.0.0.1,::1"


def test_without_a_proxy_nothing_changes() -> None:
    env = {"http_proxy": "", "no_proxy": ".svc", "PATH": "/bin"}
    proxies.exempt(HOSTS, env)
    assert env == {"http_proxy": "", "no_proxy": ".svc", "PATH": "/bin"}


@pytest.mark.parametrize(
    "name",
    ["http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "GRPC_PROXY", "ALL_PROXY"],
)
def test_each_variable_of_a_proxy_exempts_the_tasks_of_the_run(name: str) -> None:
    env = {name: "http://proxy:3128"}
    proxies.exempt(HOSTS, env)
    assert env == {name: "http://proxy:3128", "no_proxy": OURS, "no_grpc_proxy": OURS}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"no_proxy": ".svc, 10.0.0.0/8"}, {"no_proxy": f".svc,10.0.0.0/8,{OURS}"}),
        ({"no_proxy": ".svc"}, {"no_grpc_proxy": f".svc,{OURS}"}),
        (
            {"NO_PROXY": ".svc"},
            {"NO_PROXY": f".svc,{OURS}", "no_proxy": f".svc,{OURS}", "no_grpc_proxy": f".svc,{OURS}"},
        ),
        ({"no_proxy": ".a", "no_grpc_proxy": ".b"}, {"no_proxy": f".a,{OURS}", "no_grpc_proxy": f".b,{OURS}"}),
        ({"no_proxy": "*"}, {"no_proxy": "*", "no_grpc_proxy": OURS}),
    ],
)
def test_what_the_user_set_is_kept(given: dict[str, str], expected: dict[str, str]) -> None:
    env = {"https_proxy": "http://proxy:3128", **given}
    proxies.exempt(HOSTS, env)
    assert expected.items() <= env.items()
    again = dict(env)
    proxies.exempt(HOSTS, again)
    assert again == env, "an in-place restart must not make the variables longer"


def test_other_hosts_keep_their_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    env = {"https_proxy": "http://proxy:3128"}
    proxies.exempt(HOSTS, env)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert urllib.request.proxy_bypass("run-worker-1.run")
    assert not urllib.request.proxy_bypass("storage.googleapis.com")


def test_hosts_of_a_cluster_have_no_ports_and_brackets() -> None:
    cluster = tf_config.Cluster(tasks={"chief": ("run-chief-0.run:2222",), "worker": ("[fd00::7]:2222", "10.0.0.7:2")})
    assert cluster.hosts == ["run-chief-0.run", "fd00::7", "10.0.0.7"]
