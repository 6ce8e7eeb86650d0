{{/* The rules between keys that the schema cannot express: one comment per rule, one define per subject. */}}

{{/*
All problems of a job file. A missing default hides the others, because their rules need its value.
Argument: the root context, or a dict of its Values, Chart, Release and Capabilities. Output: JSON list of messages
*/}}
{{- define "tf-distributed.problems" -}}
{{- $problems := include "tf-distributed.missingDefaults" . | fromJsonArray -}}
{{- if not $problems -}}
{{- $replicas := dict -}}
{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $_ := set $replicas $role (include "tf-distributed.replicas" (dict "root" $ "role" $role) | int) -}}
{{- end -}}
{{- range $subject := list "release" "run" "role" "elastic" "gpu" "quantity" "toleration" "batch" "group" "storage" "volume" "program" "code" "environment" "expansion" "scheduling" "queue" "network" "metrics" -}}
{{- $found := include (printf "tf-distributed.%sProblems" $subject) (dict "root" $ "replicas" $replicas) -}}
{{- $problems = concat $problems (fromJsonArray $found) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the name of the run.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.runProblems" -}}
{{- $root := .root -}}
{{- $problems := list -}}
{{- $run := $root.Release.Name -}}

{{- /* Run a-code would own the ConfigMap a-code of run a. */ -}}
{{- range $end := include "tf-distributed.reservedEnds" $root | fromJsonArray -}}
{{- if hasSuffix (printf "-%s" $end) $run -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "release name" "got" (include "tf-distributed.shown" $run)
  "expected" (printf "a name without -%s at its end, which is an object of another run" $end)
  "fix" "Rename the file: its name is the release name.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
