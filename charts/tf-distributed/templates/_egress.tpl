{{/* What pods may reach, as parts of a NetworkPolicy. The chart of the workbench has a copy of this file. */}}

{{/*
The egress rules of the places that pods may reach. A place is a define PLACEEgress.
Argument: dict root, to (list of places, with dns first). Output: YAML list of egress rules
*/}}
{{- define "tf-distributed.egress" -}}
{{- range $index, $place := .to }}
{{- with include (printf "tf-distributed.%sEgress" $place) (dict "root" $.root) | trim }}
{{- if $index }}{{ "\n" }}{{ end }}{{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Every address except the metadata servers of clouds, which hand out the credentials of the node.
Argument: none. Output: YAML list of peers
*/}}
{{- define "tf-distributed.anywhere" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    # Link-local addresses, Azure and Alibaba Cloud.
    except: [169.254.0.0/16, 168.63.129.16/32, 100.100.100.200/32]
- ipBlock:
    cidr: ::/0
    # Link-local addresses, AWS and Google Cloud.
    except: ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]
{{- end }}

{{/*
DNS of the cluster: in a pod, at the address of its Service, or on the node. Public resolvers are not included.
Argument: none. Output: YAML list of egress rules
*/}}
{{- define "tf-distributed.dnsEgress" -}}
- ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
  to:
    - namespaceSelector: {}
    {{- range list "10.0.0.0/8" "100.64.0.0/10" "172.16.0.0/12" "192.168.0.0/16" "169.254.0.0/16" "fc00::/7" }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
{{- end }}

{{/*
Google Cloud Storage. GKE serves the identity of the pod, never that of the node, on port 988.
Argument: none. Output: YAML list of egress rules
*/}}
{{- define "tf-distributed.bucketEgress" -}}
- ports: [{protocol: TCP, port: 443}]
  to:
    {{- include "tf-distributed.anywhere" . | nindent 4 }}
- ports: [{protocol: TCP, port: 988}]
  to: [{ipBlock: {cidr: 169.254.169.252/32}}]
{{- end }}

{{/*
What the file adds.
Argument: dict root. Output: YAML list of egress rules, nothing without network.egress
*/}}
{{- define "tf-distributed.listedEgress" -}}
{{- range .root.Values.network.egress }}
- to:
    {{- if eq .to "anywhere" }}
    {{- include "tf-distributed.anywhere" . | nindent 4 }}
    {{- else }}
    - ipBlock: {cidr: {{ .to | quote }}}
    {{- end }}
  {{- with .ports }}
  ports:
    {{- range . }}
    - {protocol: TCP, port: {{ . | int }}}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
