{{/* What a container requests, and which devices it sees. */}}

{{/*
Resources of a role with the default of memory, 2Gi. With GPUs nothing is a good default, so a rule asks for a value.
null means none. A block that the job file has removed gets no default either.
Argument: dict root, role. Output: JSON {"requests": {NAME: QUANTITY}, "limits": {NAME: QUANTITY}}
*/}}
{{- define "tf-distributed.roleResources" -}}
{{- $block := index .root.Values .role -}}
{{- $result := dict -}}
{{- range $kind, $written := $block.resources -}}
{{- $quantities := empty $block.gpus | ternary (dict "memory" "2Gi") (dict) -}}
{{- range $name, $quantity := $written -}}
{{- $_ := set $quantities $name $quantity -}}
{{- if kindIs "invalid" $quantity -}}{{- $_ := unset $quantities $name -}}{{- end -}}
{{- end -}}
{{- $_ := set $result $kind $quantities -}}
{{- end -}}
{{ toJson $result }}
{{- end }}

{{/*
Resources of a container. A GPU is a limit and an equal request; all quantities are strings.
Argument: dict resources, gpus, gpu (its resource name). Output: YAML map
*/}}
{{- define "tf-distributed.resources" -}}
{{- $result := dict -}}
{{- range $kind := list "requests" "limits" -}}
{{- $quantities := dict -}}
{{- range $name, $quantity := index $.resources $kind -}}
{{- $_ := set $quantities $name (include "tf-distributed.quantityText" $quantity) -}}
{{- end -}}
{{- with $.gpus -}}{{- $_ := set $quantities $.gpu (int . | toString) -}}{{- end -}}
{{- with $quantities -}}{{- $_ := set $result $kind . -}}{{- end -}}
{{- end -}}
{{ toYaml $result }}
{{- end }}

{{/*
Whether a role requests no device at all. An image may ask the NVIDIA runtime for all GPUs of the node, which the role
must not see. Other resources may be GPUs as well: slices of one, or GPUs of a sharing device plugin.
Argument: dict root, role. Output: true or nothing
*/}}
{{- define "tf-distributed.hasNoDevice" -}}
{{- $block := index .root.Values .role -}}
{{- $names := concat (keys ($block.resources.requests | default dict)) (keys ($block.resources.limits | default dict)) -}}
{{- if not (or $block.gpus (contains "/" (join " " $names))) -}}
true
{{- end -}}
{{- end }}
