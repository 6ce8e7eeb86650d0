{{/*
What a container requests, and which devices it sees. A block has resources, gpus and shm, as a role of a job file.
The chart of the workbench has a copy of this file.
*/}}

{{/*
Resources of a block with the default of memory. With GPUs nothing is a good default, so a rule asks for a value.
null means none. A block that the file has removed gets no default either.
Argument: a block. Output: JSON {"requests": {NAME: QUANTITY}, "limits": {NAME: QUANTITY}}
*/}}
{{- define "tf-distributed.blockResources" -}}
{{- $block := . -}}
{{- $result := dict -}}
{{- range $kind, $written := $block.resources -}}
{{- $quantities := empty $block.gpus | ternary (dict "memory" (include "tf-distributed.defaultMemory" .)) (dict) -}}
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
Size of /dev/shm: that of the block, or else room for the exchange between several GPUs, within the memory limit.
Argument: a block. Output: a quantity, nothing for the default of the container runtime
*/}}
{{- define "tf-distributed.shm" -}}
{{- $resources := include "tf-distributed.blockResources" . | fromJson -}}
{{- $limit := index ($resources.limits | default dict) "memory" -}}
{{- if .shm -}}
{{ .shm }}
{{- else if gt (int .gpus) 1 -}}
{{- if and $limit (lt (include "tf-distributed.quantity" $limit | float64) 1073741824.0) -}}
{{ include "tf-distributed.quantityText" $limit }}
{{- else -}}
1Gi
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Whether a block requests no device at all. An image may ask the NVIDIA runtime for all GPUs of the node, which the
container must not see. Other resources may be GPUs as well: slices of one, or GPUs of a sharing device plugin.
Argument: a block. Output: true or nothing
*/}}
{{- define "tf-distributed.hasNoDevice" -}}
{{- $names := concat (keys (.resources.requests | default dict)) (keys (.resources.limits | default dict)) -}}
{{- if not (or .gpus (contains "/" (join " " $names))) -}}
true
{{- end -}}
{{- end }}
