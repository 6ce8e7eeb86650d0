{{/* Rules of the release: its name, its chart and its labels. The chart of the workbench has a copy of this file. */}}

{{/*
Rules of the release as a whole.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.releaseProblems" -}}
{{- $root := .root -}}
{{- $problems := list -}}
{{- $name := $root.Release.Name -}}

{{- /* Every pod, host and Service name is made of this name and must stay within 63 characters. */ -}}
{{- if or (gt (len $name) 40) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "release name" "got" (include "tf-distributed.shown" $name)
  "expected" "at most 40 lower-case letters, digits and -, with a letter first and no - at the end"
  "fix" "Rename the file: its name is the release name.")) -}}
{{- end -}}

{{- /* What was reviewed stays on the chart that it was reviewed with. */ -}}
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
{{- range $label, $_ := $root.Values.labels -}}
{{- if and (contains "/" $label) (has (splitList "/" $label | first) (list "app.kubernetes.io" "helm.sh" $prefix)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "labels" "got" (include "tf-distributed.shown" $label)
  "expected" (printf "no label of app.kubernetes.io, helm.sh or %s" $prefix)
  "fix" "Choose another prefix.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
