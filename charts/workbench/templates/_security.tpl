{{/* The settings that all pods share: user, rights and no sidecar. The chart of the workbench has a copy of this file. */}}

{{/*
Settings of every pod: the user (restricted Pod Security), no token and no service variables.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.podCommon" -}}
{{- $user := int64 .root.Values.runAsUser -}}
{{- with .root.Values.serviceAccountName -}}
serviceAccountName: {{ . | quote }}
{{ end -}}
{{- with .root.Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{ end -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/*
Settings of every container: no privilege escalation, no capabilities, and a root file system that is read-only by default.
Argument: dict writableRoot (optional). Output: YAML map
*/}}
{{- define "tf-distributed.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  {{- if not .writableRoot }}
  readOnlyRootFilesystem: true
  {{- end }}
  capabilities:
    drop: [ALL]
{{- end }}

{{/*
Label of every pod against a sidecar of Istio, which many namespaces inject by default. A sidecar holds the end of a
pod and catches the traffic between the tasks. It is part of no selector.
Argument: none. Output: YAML map
*/}}
{{- define "tf-distributed.withoutSidecar" -}}
sidecar.istio.io/inject: "false"
{{- end }}
