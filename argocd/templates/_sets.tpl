{{/* What the ApplicationSets of runs and of workbenches have in common. */}}

{{/*
Generator of the files of one team.
Argument: dict root, folder (of all teams), team. Output: YAML list of one generator
*/}}
{{- define "argocd.generators" -}}
- git:
    repoURL: {{ .root.Values.repository | quote }}
    revision: {{ .root.Values.branch | quote }}
    files:
      - path: {{ printf "%s/%s/*.yaml" .folder .team | quote }}
      # The default file globbing of Argo CD also matches files in subfolders, so they are excluded here.
      # The pattern matches only files, because the new globbing fails on a matching folder and stops the whole team.
      - path: {{ printf "%s/%s/*/*.yaml" .folder .team | quote }}
        exclude: true
    requeueAfterSeconds: {{ .root.Values.pollSeconds | int }}
{{- end }}

{{/*
Source of an Application: a chart in the version of `chartVersion`, with the file as its values.
Argument: dict root, chart (its name). Output: YAML map
*/}}
{{- define "argocd.source" -}}
# The chart stays at the version that was reviewed.
# A template error would stop the whole team, so a file without chartVersion gets a revision that does not exist.
{{- if .root.Values.chart.oci }}
repoURL: {{ printf "%s/%s" .root.Values.chart.oci .chart | quote }}
targetRevision: {{`'{{ get . "chartVersion" | default "CHARTVERSION-IS-NOT-SET" }}'`}}
path: .
{{- else }}
repoURL: {{ .root.Values.repository | quote }}
# The full ref can only match a tag, never a branch.
targetRevision: refs/tags/tf-distributed-{{`{{ get . "chartVersion" | default "CHARTVERSION-IS-NOT-SET" }}`}}
path: charts/{{ .chart }}
{{- end }}
helm:
  releaseName: {{`'{{ trimSuffix ".yaml" .path.filename }}'`}}
  # The file is one string, so that Argo CD reads nothing in it but values.
  # valuesObject would need a templatePatch, a strategic merge that obeys keys like $patch and deletes at null.
  values: {{`'{{ omit . "path" | toPrettyJson }}'`}}
{{- end }}
