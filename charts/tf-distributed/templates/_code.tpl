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
The script of the init container. A server that serves no single commits must send all branches and tags.
Argument: none. Output: shell
*/}}
{{- define "tf-distributed.fetchScript" -}}
refuse() { echo "code.git.repository: got $CODE_REPOSITORY, $1" >&2; exit 1; }
git init -q "$CODE_DIR"
cd "$CODE_DIR"
git config remote.origin.url "$CODE_REPOSITORY"
if ! git fetch -q --depth 1 origin "$CODE_COMMIT" 2>"$HOME/why"; then
  cat "$HOME/why" >&2
  case $(cat "$HOME/why") in
    *"error: 30"*|*redirect*) refuse "which redirects; expected an address that answers itself. Set the address that it redirects to, often with .git at the end." ;;
    *unadvertised*|*"not our ref"*|*shallow*) echo "the server sends no single commits: fetching all branches and tags" ;;
    *) refuse "from which git could not fetch; expected a repository with the commit. Read the lines above." ;;
  esac
  git fetch -q --tags origin "+refs/heads/*:refs/remotes/origin/*"
fi
git checkout -q --detach "$CODE_COMMIT" || refuse "without $CODE_COMMIT; expected a commit of a branch or a tag. Push it."
if ! git submodule --quiet update --init --recursive --depth 1; then
  echo "a server sends no single commits: fetching the submodules with their history"
  git submodule --quiet deinit --force --all
  rm -rf .git/modules
  git submodule --quiet update --init --recursive || refuse "whose submodules git could not fetch; expected submodules that tokenSecret or everybody can read. Change .gitmodules."
fi
echo "fetched $CODE_COMMIT of $CODE_REPOSITORY"
lfs=$(git grep --recurse-submodules -l -e "^version https://git-lfs.github.com/spec" -- ":(attr:filter=lfs)" | head -n 3) || true
test -z "$lfs" || echo "git-lfs: these files and maybe others have no content here, only pointers: "$lfs". Put them into data or into the image." >&2
{{- end }}

{{/*
Init container that fetches one commit with its submodules. The token stays in the environment, never in an argument or
on disk. Git sends it only to the host of the repository, and follows no redirect.
Git needs safe.directory because root owns the volume and the process does not run as root.
Argument: dict root. Output: YAML map
*/}}
{{- define "tf-distributed.fetchCode" -}}
{{- $git := .root.Values.code.git -}}
{{- $server := regexFind "^https://[^/]+" $git.repository -}}
{{- $host := trimPrefix "https://" $server -}}
name: code
image: {{ .root.Values.code.image | quote }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
command:
  - sh
  - -ec
  - |
    {{- include "tf-distributed.fetchScript" . | nindent 4 }}
env:
  - {name: CODE_DIR, value: /code}
  - {name: CODE_REPOSITORY, value: {{ toJson $git.repository }}}
  - {name: CODE_COMMIT, value: {{ toJson $git.commit }}}
  - {name: HOME, value: /tmp}
  - {name: LC_ALL, value: C}
  {{- /* It requests no device, also in a pod with GPUs, so an image that asks for all of them gets none. */}}
  - {name: NVIDIA_VISIBLE_DEVICES, value: void}
  - {name: GIT_TERMINAL_PROMPT, value: "0"}
  - {name: GIT_ALLOW_PROTOCOL, value: https}
  - {name: GIT_CONFIG_COUNT, value: "5"}
  - {name: GIT_CONFIG_KEY_0, value: safe.directory}
  - {name: GIT_CONFIG_VALUE_0, value: "*"}
  - {name: GIT_CONFIG_KEY_1, value: {{ printf "credential.%s.helper" $server | toJson }}}
  - {name: GIT_CONFIG_VALUE_1, value: '!f() { test -z "$CODE_TOKEN" || { echo username=git; echo "password=$CODE_TOKEN"; }; }; f'}
  - {name: GIT_CONFIG_KEY_2, value: http.followRedirects}
  - {name: GIT_CONFIG_VALUE_2, value: "false"}
  # Submodules of the same server often have addresses for SSH, for which there is no key here.
  - {name: GIT_CONFIG_KEY_3, value: {{ printf "url.%s/.insteadOf" $server | toJson }}}
  - {name: GIT_CONFIG_VALUE_3, value: {{ printf "git@%s:" $host | toJson }}}
  - {name: GIT_CONFIG_KEY_4, value: {{ printf "url.%s/.insteadOf" $server | toJson }}}
  - {name: GIT_CONFIG_VALUE_4, value: {{ printf "ssh://git@%s/" $host | toJson }}}
  {{- with $git.tokenSecret }}
  - name: CODE_TOKEN
    valueFrom:
      secretKeyRef: {name: {{ toJson .name }}, key: {{ toJson .key }}}
  {{- end }}
resources:
  requests: {cpu: 100m, memory: 128Mi}
  limits: {cpu: "1", memory: 1Gi}
{{- include "tf-distributed.containerSecurity" . | nindent 0 }}
volumeMounts:
  - {name: code, mountPath: /code}
  - {name: tmp, mountPath: /tmp}
{{- end }}
