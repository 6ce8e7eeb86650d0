{{/* Rules of network.egress. The chart of the workbench has a copy of this file. */}}

{{/*
Rules of network.egress: a metadata server hands out the credentials of the node.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.networkProblems" -}}
{{- $problems := list -}}
{{- range $index, $rule := .root.Values.network.egress -}}

{{- /* A prefix of 8 or more fixes the first number, and a prefix of 16 or more fixes two. In IPv6, 32 bits are two groups. */ -}}
{{- $contains := regexMatch "^(169[.]254|168[.]63|100[.]100)[.]|^(169|168|100)[.].*/([89]|1[0-5])$" $rule.to -}}
{{- $contains6 := regexMatch "^(fe[89ab][0-9a-f]:|fd00:0?ec2:|fd20:0{0,2}ce:)" $rule.to -}}
{{- if or $contains $contains6 -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "network.egress[%d].to" $index) "got" (include "tf-distributed.shown" $rule.to)
  "expected" "a range without link-local addresses and metadata servers"
  "fix" "Set a smaller range.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
