{{/* Environment of the api: every flag of it that a value sets. Takes the root context. */}}
{{- define "tensorflow-model.api.env" -}}
{{- $api := .Values.api -}}
- name: PORT
  value: "8080"
- name: SERVER
  value: {{ include "tensorflow-model.fullname" . }}-server-headless:8500
- name: MODEL_NAME
  value: {{ .Values.model.name | quote }}
- name: SIGNATURE_NAME
  value: {{ .Values.model.signature | quote }}
- name: MANIFEST
  value: /models/{{ .Values.model.name }}/manifest.json
{{- range $name := list "maxBodyBytes" "maxImagesPerRequest" "batchSize" "queueSize" "requestTimeoutSeconds" }}
- name: {{ $name | snakecase | upper }}
  value: {{ include "tensorflow-model.number" (index $api $name) | quote }}
{{- end }}
{{- end }}
