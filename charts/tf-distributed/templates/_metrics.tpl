{{/* Prometheus metrics of a run, which its leader serves. */}}

{{/*
Role of the leader, which runs the training loop and writes the run directory: the chief, or a worker.
Argument: dict root. Output: chief or worker
*/}}
{{- define "tf-distributed.leaderRole" -}}
{{- include "tf-distributed.replicas" (dict "root" .root "role" "chief") | int | eq 0 | ternary "worker" "chief" -}}
{{- end }}

{{/*
Whether tasks of a role serve metrics. All workers have the pod template of the leader, and only the leader listens.
Argument: dict root, role. Output: true or nothing
*/}}
{{- define "tf-distributed.servesMetrics" -}}
{{- if and .root.Values.metrics.enabled (eq .role (include "tf-distributed.leaderRole" .)) -}}
true
{{- end -}}
{{- end }}

{{/*
Variables of a task that serves metrics.
Argument: dict root, role. Output: YAML list, nothing for other tasks
*/}}
{{- define "tf-distributed.metricsEnv" -}}
{{- if include "tf-distributed.servesMetrics" . }}
- name: TRAINER_METRICS_PORT
  value: {{ .root.Values.metrics.port | int | quote }}
- name: TRAINER_RUN_GPUS
  value: {{ include "tf-distributed.gpus" . | quote }}
{{- end }}
{{- end }}

{{/*
Number of GPUs of all tasks of the run.
Argument: dict root. Output: a whole number
*/}}
{{- define "tf-distributed.gpus" -}}
{{- $gpus := 0 -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $replicas := include "tf-distributed.replicas" (dict "root" $.root "role" $role) | int -}}
{{- $gpus = add $gpus (mul $replicas (index $.root.Values $role).gpus) -}}
{{- end -}}
{{ $gpus }}
{{- end }}
