{{/* Rules of metrics. */}}

{{/*
Rules of the metrics block.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.metricsProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $metrics := $values.metrics -}}

{{- /* The entry point of an image may be any program. */ -}}
{{- if and $metrics.enabled (include "tf-distributed.mayBeCustom" .) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "metrics.enabled" "got" "true"
  "expected" "false for a program of your own, because the metrics come from the training loop of the trainer"
  "fix" "Remove metrics.enabled, and serve metrics of your own if you need them.")) -}}
{{- end -}}

{{- /* Both listen in one pod, and the policy would open the port of TensorFlow. */ -}}
{{- if and $metrics.enabled (eq (int $metrics.port) (int $values.network.port)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "metrics.port" "got" (include "tf-distributed.shown" $metrics.port)
  "expected" "another port than network.port" "fix" "Set another port.")) -}}
{{- end -}}

{{- /* Nothing would answer the operator of Prometheus. */ -}}
{{- if and $metrics.podMonitor (not $metrics.enabled) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "metrics.podMonitor" "got" "true" "expected" "false without metrics.enabled"
  "fix" "Set metrics.enabled: true, or remove metrics.podMonitor.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
