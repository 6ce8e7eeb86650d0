{{/* Rules of what a run reads and writes: checkpoints, data and code. */}}

{{/*
Rules of storage, warm start and data.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.storageProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $run := .root.Release.Name -}}
{{- $start := $values.warmStartFrom -}}
{{- if $values.storage.ephemeral -}}
{{- $about := dict "key" "storage.ephemeral" "got" "true" -}}

{{- /* The evaluator reads the chief's checkpoints. */ -}}
{{- if .replicas.evaluator -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" "shared storage for a run with an evaluator"
  "fix" "Set storage.claim or storage.uri, or remove evaluator.replicas.") $about)) -}}
{{- end -}}

{{- /* After a failure all workers restore from one directory. A custom program restores by its own means. */ -}}
{{- if and (eq $values.strategy "MultiWorkerMirrored") (gt .replicas.worker 1) (not (include "tf-distributed.isOwnProgram" .)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "shared storage for %d workers" .replicas.worker)
  "fix" "Set storage.claim or storage.uri, or set worker.replicas: 1.") $about)) -}}
{{- end -}}

{{- /* The other run's checkpoints must be there to start from. */ -}}
{{- if $start -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "warmStartFrom" "got" (include "tf-distributed.shown" $start)
  "expected" "no warm start from ephemeral storage"
  "fix" "Set the storage of that run or remove warmStartFrom.")) -}}
{{- end -}}
{{- end -}}

{{- /* A run resumes from its own checkpoints without this key. */ -}}
{{- if eq (toString $start) $run -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "warmStartFrom" "got" (include "tf-distributed.shown" $start) "expected" "the name of another run"
  "fix" "Remove warmStartFrom or name another run.")) -}}
{{- end -}}

{{- /* The iterations of a run without a warm start begin at 0. */ -}}
{{- if and $values.trainer.warmStartIterations (not $start) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "trainer.warmStartIterations" "got" (include "tf-distributed.shown" $values.trainer.warmStartIterations)
  "expected" "no value without warmStartFrom"
  "fix" "Set warmStartFrom or remove trainer.warmStartIterations.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of data, code and early stopping.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.codeProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $data := $values.data -}}
{{- $code := $values.code -}}

{{- /* DATA_DIR is one place. */ -}}
{{- if and $data.claim $data.uri -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "data" "got" (include "tf-distributed.shown" $data) "expected" "only one of claim and uri"
  "fix" "Remove data.claim or data.uri.")) -}}
{{- end -}}

{{- /* The folder /code has one source. */ -}}
{{- if and $code.git $code.files -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "code" "got" "both git and files" "expected" "only one of git and files"
  "fix" "Remove code.git or code.files.")) -}}
{{- end -}}

{{- /* The evaluator decides about early stopping. */ -}}
{{- if and $values.trainer.earlyStopping (not .replicas.evaluator) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "trainer.earlyStopping" "got" (include "tf-distributed.shown" $values.trainer.earlyStopping)
  "expected" "an evaluator for early stopping"
  "fix" "Set evaluator.replicas: 1 or remove trainer.earlyStopping.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
