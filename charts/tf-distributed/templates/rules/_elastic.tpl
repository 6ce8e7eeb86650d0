{{/* Rules of elastic runs. */}}

{{/*
Rules of worker.minReplicas.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.elasticProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $least := include "tf-distributed.minWorkers" . | int -}}
{{- $strategies := list "ParameterServer" "MultiWorkerMirrored" -}}

{{- /* The other strategies have no workers. */ -}}
{{- if and $least (not (has $values.strategy $strategies)) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least "expected" (printf "no minReplicas for %s" $values.strategy)
  "fix" (printf "Remove worker.minReplicas or set strategy: %s." (first $strategies)))) -}}
{{- else if gt $least (int .replicas.worker) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least "expected" (printf "at most %d, the number of workers" .replicas.worker)
  "fix" (printf "Set worker.minReplicas: %d or a larger worker.replicas." .replicas.worker))) -}}
{{- end -}}

{{- /* A custom program reads TF_CONFIG itself, and would wait for all workers in it. */ -}}
{{- if and $least (include "tf-distributed.mayBeCustom" .) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least
  "expected" "no minReplicas for a program of your own, which waits for all workers in TF_CONFIG"
  "fix" "Remove worker.minReplicas, or train a Task class.")) -}}
{{- end -}}

{{- /* Kueue admits all tasks of a run or none of them. */ -}}
{{- if and $least $values.scheduling.queue -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "worker.minReplicas" "got" $least
  "expected" "no minReplicas with scheduling.queue, which admits all workers together"
  "fix" "Remove worker.minReplicas or scheduling.queue.")) -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}

{{/*
Rules of an elastic run whose workers form a group: its batch, and the time that it waits for missing workers.
Argument: dict root, replicas. Output: JSON list of messages
*/}}
{{- define "tf-distributed.groupProblems" -}}
{{- $problems := list -}}
{{- if include "tf-distributed.anyWorkerLeads" . -}}
{{- $values := .root.Values -}}
{{- $gpus := max 1 (int $values.worker.gpus) -}}
{{- $most := mul .replicas.worker $gpus -}}
{{- $batch := int64 $values.trainer.batchSize -}}
{{- $rest := mod $batch $gpus -}}
{{- $next := max $most (add $batch (mod (sub $gpus $rest) $gpus)) -}}
{{- $about := dict "key" "trainer.batchSize" "got" $batch -}}

{{- /* The share of a worker depends on the number of workers, and its replicas share it equally. */ -}}
{{- if $rest -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "a multiple of %d, the GPUs of each worker" $gpus)
  "fix" (printf "Set trainer.batchSize: %d." $next)) $about)) -}}

{{- /* With all workers, each replica still needs an example. */ -}}
{{- else if lt $batch $most -}}
{{- $problems = append $problems (include "tf-distributed.problem" (merge (dict
  "expected" (printf "at least %d, one example for each replica" $most)
  "fix" (printf "Set trainer.batchSize: %d." $next)) $about)) -}}
{{- end -}}

{{- /* The tasks would give up before they start without the missing workers. */ -}}
{{- $failure := $values.failure -}}
{{- $wait := include "tf-distributed.seconds" $failure.rescaleAfter | int64 -}}
{{- if ge $wait (include "tf-distributed.seconds" $failure.startTimeout | int64) -}}
{{- $problems = append $problems (include "tf-distributed.problem" (dict
  "key" "failure.rescaleAfter" "got" (include "tf-distributed.shown" $failure.rescaleAfter)
  "expected" (printf "less than failure.startTimeout (%s)" $failure.startTimeout)
  "fix" "Set a shorter failure.rescaleAfter or a longer failure.startTimeout.")) -}}
{{- end -}}
{{- end -}}
{{ $problems | default list | toRawJson }}
{{- end }}
