{{/* Environment of the api: every flag of it that a value sets. Takes the root context. */}}
{{- define "tensorflow-model.api.env" -}}
{{- $api := .Values.api -}}
- name: PORT
  value: "8080"
- name: SERVER
  value: {{ include "tensorflow-model.fullname" . }}-server-headless:8500
- name: MODEL_NAME
  value: {{ .Values.model.name | quote }}
{{- with include "tensorflow-model.model.version" . }}
- name: MODEL_VERSION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.server.tls }}
{{- if .secretName }}
- name: SERVER_CA
  value: /server-tls/ca.crt
- name: SERVER_NAME
  value: {{ include "tensorflow-model.server.tlsName" $ | quote }}
{{- if .clientSecretName }}
- name: SERVER_CLIENT_CERTIFICATE
  value: /server-tls/tls.crt
- name: SERVER_CLIENT_KEY
  value: /server-tls/tls.key
{{- end }}
{{- end }}
{{- end }}
- name: SIGNATURE_NAME
  value: {{ .Values.model.signature | quote }}
- name: MODEL_TASK
  value: {{ default "" .Values.model.task | quote }}
- name: MODEL_LABELS
  value: {{ with .Values.model.labels }}{{ . | toJson | replace "$" "$$" | toJson }}{{ else }}""{{ end }}
# What is trained here describes itself: a new pod leaves the requests to the former ones until that is served.
- name: REQUIRE_DESCRIPTION
  value: {{ .Values.training.enabled | toString | quote }}
{{- range $name := list "workers" "maxConnections" "maxRequests" "maxHeaderBytes" "maxHeaders" "maxBodyBytes" "maxHeldBodyBytes" "headerTimeoutSeconds" "bodyTimeoutSeconds" "idleTimeoutSeconds" "writeTimeoutSeconds" "maxInputsPerRequest" "batchSize" "queueSize" "queueBytes" "requestTimeoutSeconds" "drainSeconds" }}
- name: {{ $name | snakecase | upper }}
  value: {{ include "tensorflow-model.number" (index $api $name) | quote }}
{{- end }}
{{- with $api.maxHeldAnswerBytes }}
- name: MAX_HELD_ANSWER_BYTES
  value: {{ include "tensorflow-model.number" . | quote }}
{{- end }}
{{- end }}
