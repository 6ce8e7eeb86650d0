{{/* The messages of the rules, and the rule of the defaults. The chart of the workbench has a copy of this file. */}}

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
