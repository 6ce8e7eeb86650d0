{{/* Rules of scheduling and TensorBoard. */}}

{{/*
Rules of gang scheduling and of a TensorBoard-only run.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.schedulingProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $version := .root.Capabilities.KubeVersion.Version -}}

{{- /* A TensorBoard-only run has no tasks that could start together. */ -}}
{{- if and $values.scheduling.gang (eq $values.strategy "None") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.gang" "got" "true" "expected" "false for strategy None" "fix" "Remove scheduling.gang.")) -}}
{{- end -}}

{{- /* Kubernetes serves PodGroup, a beta API, from 1.37 on. */ -}}
{{- if and $values.scheduling.gang (ne $values.state "archived") (semverCompare "<1.37.0-0" $version) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "scheduling.gang" "got" (printf "true for Kubernetes %s" $version) "expected" "Kubernetes 1.37 or later"
  "fix" "Set scheduling.gang: false or use a newer cluster.")) -}}
{{- end -}}

{{- /* A TensorBoard-only run without TensorBoard has nothing to run. */ -}}
{{- if and (eq $values.strategy "None") (not $values.tensorboard.enabled) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "tensorboard.enabled" "got" "false" "expected" "true for strategy None"
  "fix" "Remove tensorboard.enabled or set another strategy.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
