"""The pull requests about workbenches whose review comments are in tests/golden/review."""

from tests.unit.review.repositories import BENCH, RUN, VERSION, Case, changed

ADA = "workbenches/vision/ada.yaml"
GRACE = "workbenches/vision/grace.yaml"
MERGED = {ADA: BENCH}
NEXT = f"{changed(BENCH, ('workbench@', 'workbench-next@'))}session: 2\n"

CASES: dict[str, Case] = {
    "workbench-new": Case({ADA: BENCH}),
    "workbench-new-with-a-run": Case({GRACE: BENCH, "jobs/vision/ada.yaml": RUN}, MERGED),
    "workbench-writes-and-is-reached": Case(
        {ADA: f"{changed(BENCH, ('{claim: runs}', '{claim: runs, writable: true}'))}"
              "network: {ingress: [ingress-nginx], egress: [{to: anywhere}]}\ntoken: {secret: shared}\n"}
    ),
    "workbench-without-editor": Case(
        {ADA: f"{changed(BENCH, ('gpus: 1', 'editor: false'), ('home: {size: 20Gi}', 'session: 1'))}"}
    ),
    "workbench-starts-again": Case({ADA: NEXT}, MERGED),
    "workbench-changed-in-place": Case({ADA: f"{BENCH}network: {{egress: [{{to: 10.1.0.0/16}}]}}\n"},
                                       MERGED | {"review.yaml": "rules: {}\n"}),
    "workbench-changed-without-a-session": Case({ADA: changed(BENCH, ("gpus: 1", "gpus: 2"))}, MERGED),
    "workbench-deleted": Case({ADA: None}, MERGED),
    "workbench-refused": Case({ADA: f"{BENCH}editor: false\n", GRACE: changed(BENCH, ("gpus:", "gpu:"))}),
    "workbench-broken": Case({GRACE: "home: [\n", "jobs/vision/digits-42.yaml": RUN}, MERGED),
    "workbench-paths": Case({"workbenches/vision/deep/a.yaml": BENCH, "workbenches/vision/Ada.yaml": BENCH}),
    "workbench-next-to-a-run-with-a-reserved-name": Case({ADA: BENCH, "jobs/vision/ada-workbench.yaml": RUN}),
    "workbench-without-chart-version": Case({ADA: changed(BENCH, (f"chartVersion: {VERSION}\n", ""))}),
}  # fmt: skip
