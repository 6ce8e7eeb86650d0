{{/* Rules of elastic runs. */}}

{{/*
Strategies whose workers may come and go.
Argument: none. Output: JSON list
*/}}
{{- define "tf-distributed.elasticStrategies" -}}
{{ list "ParameterServer" | toJson }}
{{- end }}

{{/*
Rules of worker.minReplicas.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.elasticProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $least := include "tf-distributed.minWorkers" . | int -}}
{{- $strategies := include "tf-distributed.elasticStrategies" . | fromJsonArray -}}

{{- /* The other strategies have no workers, or need all of them in each step. */ -}}
{{- if and $least (not (has $values.strategy $strategies)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least "expected" (printf "no minReplicas for %s" $values.strategy)
  "fix" (printf "Remove worker.minReplicas or set strategy: %s." (first $strategies)))) -}}
{{- else if gt $least (int .replicas.worker) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least "expected" (printf "at most %d, the number of workers" .replicas.worker)
  "fix" (printf "Set worker.minReplicas: %d or a larger worker.replicas." .replicas.worker))) -}}
{{- end -}}

{{- /* A custom program reads TF_CONFIG itself, and would wait for all workers in it. */ -}}
{{- $words := concat ($values.command | default list) ($values.args | default list) -}}
{{- $entryPoint := and (hasKey $values "command") (not $values.command) -}}
{{- if and $least (or $entryPoint (has "--" $words) (include "tf-distributed.isOwnProgram" .)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least
  "expected" "no minReplicas for a program of your own, which waits for all workers in TF_CONFIG"
  "fix" "Remove worker.minReplicas, or train a Task class.")) -}}
{{- end -}}

{{- /* Kueue admits all tasks of a run or none of them. */ -}}
{{- if and $least $values.scheduling.queue -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least
  "expected" "no minReplicas with scheduling.queue, which admits all workers together"
  "fix" "Remove worker.minReplicas or scheduling.queue.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
