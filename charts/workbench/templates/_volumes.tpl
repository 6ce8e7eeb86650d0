{{/* What the pod mounts, and where. */}}

{{/*
Volumes of the pod. The Secret is optional: without it the container starts and ends with a message, and holds no GPU.
Argument: dict root. Output: YAML list
*/}}
{{- define "tf-distributed.volumes" -}}
{{- $values := .root.Values -}}
- name: tmp
  emptyDir: {}
- name: home
  {{- if $values.editor }}
  persistentVolumeClaim:
    claimName: {{ include "tf-distributed.homeClaim" . | quote }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: token
  secret:
    secretName: {{ include "tf-distributed.tokenSecret" . | quote }}
    optional: true
    # 288 is the mode 0440: fsGroup is the group of the file.
    defaultMode: 288
    items: [{key: {{ $values.token.key | quote }}, path: token}]
{{- with ($values.storage | default dict).claim }}
- name: runs
  persistentVolumeClaim:
    claimName: {{ . | quote }}
{{- end }}
{{- with include "tf-distributed.shm" $values }}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ . }}}
{{- end }}
{{- end }}

{{/*
Mounts of the volumes.
Argument: dict root. Output: YAML list
*/}}
{{- define "tf-distributed.mounts" -}}
{{- $storage := .root.Values.storage | default dict -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: /home/workbench
- name: token
  mountPath: /etc/workbench
  readOnly: true
{{- if $storage.claim }}
- name: runs
  mountPath: /runs
  {{- if not $storage.writable }}
  readOnly: true
  {{- end }}
{{- end }}
{{- if include "tf-distributed.shm" .root.Values }}
- name: shm
  mountPath: /dev/shm
{{- end }}
{{- end }}
