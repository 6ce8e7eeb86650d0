{{/* Rules of the folders that a run mounts, and of /dev/shm. */}}

{{/*
The mount points of the storage, the data and mounts, those with a default path first.
Argument: dict root. Output: JSON list of {key, at}
*/}}
{{- define "tf-distributed.mountPoints" -}}
{{- $values := .root.Values -}}
{{- $points := list -}}
{{- if not $values.storage.uri -}}
{{- $points = append $points (dict "key" "storage.at" "at" (include "tf-distributed.storageDir" .)) -}}
{{- end -}}
{{- if $values.data.claim -}}
{{- $point := dict "key" "data.at" "at" (include "tf-distributed.dataDir" .) -}}
{{- if $values.data.at -}}{{- $points = append $points $point -}}{{- else -}}{{- $points = prepend $points $point -}}{{- end -}}
{{- end -}}
{{- range $index, $mount := $values.mounts -}}
{{- $points = append $points (dict "key" (printf "mounts[%d].at" $index) "at" $mount.at) -}}
{{- end -}}
{{ toJson $points }}
{{- end }}

{{/*
Whether one of two paths is the other one or contains it.
Argument: list of two paths. Output: yes or nothing
*/}}
{{- define "tf-distributed.overlap" -}}
{{- $first := printf "%s/" (first .) -}}
{{- $second := printf "%s/" (last .) -}}
{{- if or (hasPrefix $first $second) (hasPrefix $second $first) -}}yes{{- end -}}
{{- end }}

{{/*
Rules of mount points.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.mountPointProblems" -}}
{{- $problems := list -}}
{{- $seen := list -}}
{{- range $point := include "tf-distributed.mountPoints" . | fromJsonArray -}}
{{- $about := dict "key" $point.key "got" (include "tf-distributed.shown" $point.at) -}}

{{- /* Each new pod has an empty /tmp, which is also its HOME. */ -}}
{{- if include "tf-distributed.overlap" (list $point.at "/tmp") -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "a path outside /tmp, which is empty in each new pod"
  "fix" "Set another path such as /work, and write it instead of /tmp in command, args and env.") $about)) -}}
{{- end -}}

{{- /* The memory for the exchange between processes has a key of its own. */ -}}
{{- if eq $point.at "/dev/shm" -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "the size of /dev/shm in the key shm of a role"
  "fix" "Remove this item and set shm, for example worker.shm: 1Gi.") $about)) -}}
{{- end -}}

{{- /* These folders are those of the chart, of the kernel, or of the container runtime. */ -}}
{{- range $place := list "/code" "/dev" "/etc" "/proc" "/run" "/sys" "/var/run" -}}
{{- if and (ne $point.at "/dev/shm") (include "tf-distributed.overlap" (list $point.at $place)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "a path that is apart from %s, which the chart or the system uses" $place)
  "fix" "Set another path such as /work.") $about)) -}}
{{- end -}}
{{- end -}}

{{- /* One mount would hide the other. */ -}}
{{- range $other := $seen -}}
{{- if include "tf-distributed.overlap" (list $point.at $other.at) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "a path that is apart from %s, the path of %s" $other.at $other.key)
  "fix" "Set a path that is not the other one, nor above or below it.") $about)) -}}
{{- end -}}
{{- end -}}
{{- $seen = append $seen $point -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of storage.at, data.at, mounts and shm.
Argument: dict root. Output: JSON list of messages
*/}}
{{- define "tf-distributed.volumeProblems" -}}
{{- $values := .root.Values -}}
{{- $problems := include "tf-distributed.mountPointProblems" . | fromJsonArray -}}

{{- /* Nothing mounts a bucket. */ -}}
{{- if and $values.storage.at $values.storage.uri -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "storage.at" "got" (include "tf-distributed.shown" $values.storage.at)
  "expected" "no path next to storage.uri, because nothing mounts a bucket"
  "fix" "Remove storage.at. RUN_DIR is the address in the bucket.")) -}}
{{- end -}}

{{- /* Without a claim there is nothing to mount. */ -}}
{{- if and $values.data.at (not $values.data.claim) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "data.at" "got" (include "tf-distributed.shown" $values.data.at)
  "expected" "no path without data.claim" "fix" "Set data.claim or remove data.at.")) -}}
{{- end -}}

{{- /* Only a claim has folders. */ -}}
{{- range $index, $mount := $values.mounts -}}
{{- if and $mount.folder (not $mount.claim) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" (printf "mounts[%d].folder" $index) "got" (include "tf-distributed.shown" $mount.folder)
  "expected" "no folder without claim" "fix" "Remove folder, or set claim in its item.")) -}}
{{- end -}}
{{- end -}}

{{- range $role := list "chief" "ps" "worker" "evaluator" -}}
{{- $argument := dict "at" (printf "%s." $role) "block" (index $values $role) -}}
{{- $problems = concat $problems (include "tf-distributed.blockShmProblems" $argument | fromJsonArray) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
