{{/* Your code at /code, from a git commit or from the job file. */}}

{{/*
Environment that makes Python find your code.
Argument: dict root. Output: YAML list, nothing without code
*/}}
{{- define "tf-distributed.codeEnv" -}}
{{- $code := .root.Values.code -}}
{{- if or $code.git $code.files }}
- name: CODE_DIR
  value: /code
- name: PYTHONPATH
  value: /code{{ with $code.git }}{{ with .folder }}/{{ . }}{{ end }}{{ end }}
{{- end }}
{{- end }}

{{/*
The volume of the code: an empty folder that the init container fills, or the ConfigMap.
Argument: dict root. Output: YAML list, nothing without code
*/}}
{{- define "tf-distributed.codeVolume" -}}
{{- $code := .root.Values.code -}}
{{- if $code.git }}
- name: code
  emptyDir: {}
{{- else if $code.files }}
- name: code
  configMap:
    name: {{ include "tf-distributed.name" (dict "root" .root "role" "code") | quote }}
{{- end }}
{{- end }}

{{/*
Init container that fetches one commit. The token stays in the environment, never in an argument or on disk.
Git needs safe.directory because root owns the volume and the process does not run as root.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.fetchCode" -}}
{{- $git := .root.Values.code.git -}}
name: code
image: {{ .root.Values.code.image | quote }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
command:
  - sh
  - -ec
  - |
    git init -q "$CODE_DIR"
    cd "$CODE_DIR"
    git fetch -q --depth 1 "$CODE_REPOSITORY" "$CODE_COMMIT"
    git checkout -q FETCH_HEAD
    echo "fetched $CODE_COMMIT of $CODE_REPOSITORY"
env:
  - {name: CODE_DIR, value: /code}
  - {name: CODE_REPOSITORY, value: {{ toJson $git.repository }}}
  - {name: CODE_COMMIT, value: {{ toJson $git.commit }}}
  - {name: HOME, value: /tmp}
  - {name: GIT_TERMINAL_PROMPT, value: "0"}
  - {name: GIT_CONFIG_COUNT, value: "2"}
  - {name: GIT_CONFIG_KEY_0, value: safe.directory}
  - {name: GIT_CONFIG_VALUE_0, value: "*"}
  - {name: GIT_CONFIG_KEY_1, value: credential.helper}
  - {name: GIT_CONFIG_VALUE_1, value: '!f() { test -z "$CODE_TOKEN" || { echo username=git; echo "password=$CODE_TOKEN"; }; }; f'}
  {{- with $git.tokenSecret }}
  - name: CODE_TOKEN
    valueFrom:
      secretKeyRef: {name: {{ toJson .name }}, key: {{ toJson .key }}}
  {{- end }}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {memory: 1Gi}
{{- include "tf-distributed.containerSecurity" . | nindent 0 }}
volumeMounts:
  - {name: code, mountPath: /code}
  - {name: tmp, mountPath: /tmp}
{{- end }}
