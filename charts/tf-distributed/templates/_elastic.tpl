{{/* Elastic runs: they start with some of their workers, and the others join and leave. */}}

{{/*
Number of workers without which the run does not start.
Argument: dict root. Output: a whole number, or nothing if the run is not elastic
*/}}
{{- define "tf-distributed.minWorkers" -}}
{{- if hasKey .root.Values.worker "minReplicas" -}}
{{ int .root.Values.worker.minReplicas }}
{{- end -}}
{{- end }}

{{/*
Whether a role is the workers of an elastic run.
Argument: dict root, role. Output: true, or nothing
*/}}
{{- define "tf-distributed.isElastic" -}}
{{- if and (eq .role "worker") (include "tf-distributed.minWorkers" .) -}}
true
{{- end -}}
{{- end }}

{{/*
Whether any worker of the run may lead it: the group of an elastic run without a chief has its own leader.
Argument: dict root. Output: true, or nothing
*/}}
{{- define "tf-distributed.anyWorkerLeads" -}}
{{- if and (include "tf-distributed.minWorkers" .) (eq .root.Values.strategy "MultiWorkerMirrored") -}}
true
{{- end -}}
{{- end }}

{{/*
Environment of the tasks of an elastic run.
Argument: dict root. Output: YAML list, or nothing
*/}}
{{- define "tf-distributed.elasticEnv" -}}
{{- with include "tf-distributed.minWorkers" . }}
- name: TRAINER_MIN_WORKERS
  value: {{ . | quote }}
{{- end }}
{{- if include "tf-distributed.anyWorkerLeads" . }}
- name: TRAINER_RESCALE_AFTER
  value: {{ include "tf-distributed.seconds" .root.Values.failure.rescaleAfter | quote }}
{{- end }}
{{- end }}

{{/*
Number of tasks that start together.
Argument: dict root. Output: a whole number
*/}}
{{- define "tf-distributed.gang" -}}
{{- $workers := include "tf-distributed.replicas" (dict "root" .root "role" "worker") -}}
{{ add (include "tf-distributed.tasks" (dict "root" .root "roles" (list "chief" "ps"))) (include "tf-distributed.minWorkers" . | default $workers) }}
{{- end }}
