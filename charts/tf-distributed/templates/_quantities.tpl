{{/* Durations and quantities. The chart of the workbench has a copy of this file. */}}

{{/*
A duration in seconds.
Argument: a string like 90s, 30m, 24h. Output: a whole number
*/}}
{{- define "tf-distributed.seconds" -}}
{{ mul (regexFind "^[0-9]+" . | int64) (get (dict "s" 1 "m" 60 "h" 3600) (regexFind "[smh]$" .)) }}
{{- end }}

{{/*
A Kubernetes quantity as a plain number, for comparisons only.
Argument: a string or number like 500m, 4Gi, 2. Output: a number with three decimals
*/}}
{{- define "tf-distributed.quantity" -}}
{{- $text := include "tf-distributed.quantityText" . -}}
{{- $units := dict "" 1 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 -}}
{{- $_ := merge $units (dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624) -}}
{{ mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[a-zA-Z]*$" $text)) | printf "%.3f" }}
{{- end }}

{{/*
A quantity as Kubernetes reads it: Helm holds numbers as floats and would print 2000000000 as 2e+09.
Argument: a string or number. Output: a string
*/}}
{{- define "tf-distributed.quantityText" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end }}
