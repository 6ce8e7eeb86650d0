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
{{- range $subject := list "run" "role" "elastic" "gpu" "quantity" "toleration" "batch" "group" "storage" "volume" "program" "code" "environment" "scheduling" "queue" "network" "metrics" -}}
{{- $found := include (printf "tf-distributed.%sProblems" $subject) (dict "root" $ "replicas" $replicas) -}}
{{- $problems = concat $problems (fromJsonArray $found) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
One message in the grammar of all messages.
Argument: dict key, got, expected, fix (a sentence). Output: KEY: got VALUE; expected RULE. FIX.
*/}}
{{- define "tf-distributed.problem" -}}
{{ .key }}: got {{ .got }}; expected {{ .expected }}. {{ .fix }}
{{- end }}

{{/*
A value for a message: JSON, at most 80 characters.
Argument: any value. Output: text
*/}}
{{- define "tf-distributed.shown" -}}
{{- $text := toRawJson . -}}
{{ gt (len $text) 80 | ternary (printf "%s..." (trunc 77 $text)) $text }}
{{- end }}

{{/*
Defaults that null has removed. The fallback would be unsafe: UID 0, no retries.
Argument: dict Values. Output: JSON list of messages
*/}}
{{- define "tf-distributed.missingDefaults" -}}
{{- $values := .Values -}}
{{- $problems := list -}}
{{- range $block, $names := include "tf-distributed.defaultKeys" . | fromJson -}}
{{- $holder := eq $block "" | ternary $values (index $values $block) -}}
{{- range $name := kindIs "map" $holder | ternary $names list -}}
{{- if kindIs "invalid" (index $holder $name) -}}
{{- $key := printf "%s.%s" $block $name | trimPrefix "." -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" $key "got" "null" "expected" "a value"
  "fix" (printf "Remove %s to use the default of the chart." $key))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of the run as a whole: its name, its chart and its labels.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.runProblems" -}}
{{- $root := .root -}}
{{- $problems := list -}}
{{- $run := $root.Release.Name -}}

{{- /* Every pod, host and Service name is made of the run's name and must stay within 63 characters. */ -}}
{{- if or (gt (len $run) 40) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $run)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "release name" "got" (include "tf-distributed.shown" $run)
  "expected" "at most 40 lower-case letters, digits and -, with a letter first and no - at the end"
  "fix" "Rename the job file: its name is the release name.")) -}}
{{- end -}}

{{- /* Run a-code would own the ConfigMap a-code of run a. */ -}}
{{- range $end := include "tf-distributed.reservedEnds" $root | fromJsonArray -}}
{{- if hasSuffix (printf "-%s" $end) $run -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "release name" "got" (include "tf-distributed.shown" $run)
  "expected" (printf "a name without -%s at its end, which is an object of another run" $end)
  "fix" "Rename the job file: its name is the release name.")) -}}
{{- end -}}
{{- end -}}

{{- /* A run stays on the chart that it was reviewed with. */ -}}
{{- $reviewed := $root.Values.chartVersion -}}
{{- $version := $root.Chart.Version -}}
{{- if and $reviewed (ne $reviewed $version) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "chartVersion" "got" (include "tf-distributed.shown" $reviewed)
  "expected" (printf "%q, the version of this chart" $version)
  "fix" (printf "Set chartVersion: %s or use chart %s." $version $reviewed))) -}}
{{- end -}}

{{- /* The chart's selectors look for its own labels. */ -}}
{{- $prefix := include "tf-distributed.prefix" $root -}}
{{- range $name, $_ := $root.Values.labels -}}
{{- if and (contains "/" $name) (has (splitList "/" $name | first) (list "app.kubernetes.io" "helm.sh" $prefix)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "labels" "got" (include "tf-distributed.shown" $name)
  "expected" (printf "no label of app.kubernetes.io, helm.sh or %s" $prefix)
  "fix" "Choose another prefix.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
