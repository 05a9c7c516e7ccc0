{{/*
Volumes of the server's pod that the loader uses beside the model store: the verified copies, which the server reads,
and where they come from. Takes the root context.
*/}}
{{- define "tensorflow-model.loader.volumes" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson -}}
- name: models
  {{- include "tensorflow-model.emptyDir" .Values.loader.sizeLimit | nindent 2 }}
{{- with $source.image }}
- name: model-image
  image:
    reference: {{ . | quote }}
    pullPolicy: {{ $source.pullPolicy }}
{{- end }}
{{- with $source.caConfigMap }}
- name: ca-bundle
  configMap:
    name: {{ . | quote }}
    items:
      - key: {{ $source.caKey | quote }}
        path: ca.crt
{{- end }}
{{- with include "tensorflow-model.s3.volumes" (dict "root" . "component" "server") }}
{{ . }}
{{- end }}
{{- end }}
