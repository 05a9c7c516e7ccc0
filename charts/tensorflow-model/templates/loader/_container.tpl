{{/*
The container that hands the model over to the server. Takes dict "root" and "name": "loader", the init container that
waits until a model is there, or "follower", which stays beside the server and hands over each newer version.
*/}}
{{- define "tensorflow-model.loader.container" -}}
{{- include "tensorflow-model.inputs" (dict "template" "loader.container" "needs" (list "root" "name") "given" .) -}}
{{- $values := .root.Values -}}
{{- $source := include "tensorflow-model.model.source" .root | fromJson -}}
- name: {{ .name }}
  {{- include "tensorflow-model.containerImage" (dict "root" .root "component" "loader") | nindent 2 }}
  {{- if eq .name "follower" }}
  # A native sidecar: it starts after the loader, stays while the server serves, and stops after it.
  restartPolicy: Always
  {{- end }}
  env:
    {{- include (printf "tensorflow-model.%s.env" .name) .root | nindent 4 }}
  {{- with $values.loader.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.loader.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- if include "tensorflow-model.modelStore.isVolume" .root }}
    - name: model-store
      mountPath: /model-store
      readOnly: true
    {{- end }}
    {{- if $source.image }}
    - name: model-image
      mountPath: /model-image
      readOnly: true
    {{- end }}
    {{- if $source.caConfigMap }}
    - name: ca-bundle
      mountPath: /ca-bundle
      readOnly: true
    {{- end }}
    {{- with include "tensorflow-model.s3.volumeMounts" (dict "root" .root "component" "server") }}
    {{- . | nindent 4 }}
    {{- end }}
    - name: models
      mountPath: /models
    {{- if and $values.server.tls.secretName (eq .name "loader") }}
    - name: tls
      mountPath: /tls
      readOnly: true
    - name: ssl-config
      mountPath: /ssl-config
    {{- end }}
{{- end }}

{{/* What loader and follower are told alike: which model, from where, to where. Takes the root context. */}}
{{- define "tensorflow-model.loader.model" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson -}}
- name: MODEL_NAME
  value: {{ .Values.model.name | quote }}
- name: SIGNATURE_NAME
  value: {{ .Values.model.signature | quote }}
{{- with .Values.model.task }}
- name: MODEL_TASK
  value: {{ . | quote }}
{{- end }}
{{- if include "tensorflow-model.modelStore.isVolume" . }}
- name: MODEL_STORE
  value: /model-store
{{- end }}
{{- include "tensorflow-model.s3.env" (dict "root" . "component" "server") }}
{{- if and (include "tensorflow-model.modelStore.isUsed" .) (include "tensorflow-model.modelStore.isS3" .) }}
# Each look is a request, or two, that is paid for.
- name: POLL_SECONDS
  value: "5"
{{- end }}
{{- with $source.image }}
- name: SOURCE_IMAGE
  value: /model-image
{{- end }}
{{- with $source.path }}
- name: SOURCE_PATH
  value: {{ . | quote }}
{{- end }}
- name: TARGET
  value: /models
{{- with .Values.loader.sizeLimit }}
- name: SIZE_LIMIT
  value: {{ . | quote }}
{{- end }}
- name: VERIFY
  value: {{ .Values.modelStore.verify.enabled | toString | quote }}
{{- end }}

{{/* Environment of the loader: every flag of it that a value sets. Takes the root context. */}}
{{- define "tensorflow-model.loader.env" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson -}}
{{- include "tensorflow-model.loader.model" . }}
{{- with include "tensorflow-model.model.servedKey" . }}
- name: MODEL_KEY
  value: {{ . | quote }}
{{- end }}
{{- with include "tensorflow-model.model.version" . }}
- name: MODEL_VERSION
  value: {{ . | quote }}
{{- end }}
{{- with .Values.server.config.versions }}
{{- $versions := list }}
{{- range . }}
{{- $versions = append $versions (include "tensorflow-model.versionNumber" .) }}
{{- end }}
- name: FURTHER_VERSIONS
  value: {{ $versions | join "," | quote }}
{{- end }}
{{- if $source.uri }}
- name: SOURCE_URI
  value: {{ $source.uri | replace "$" "$$" | quote }}
- name: SOURCE_SHA256
  value: {{ $source.sha256 | quote }}
{{- end }}
{{- if $source.caConfigMap }}
- name: CA_BUNDLE
  value: /ca-bundle/ca.crt
{{- end }}
- name: TIMEOUT_SECONDS
  value: {{ include "tensorflow-model.loader.timeoutSeconds" . | quote }}
{{- if .Values.server.tls.secretName }}
- name: TLS_DIR
  value: /tls
- name: SSL_CONFIG
  value: /ssl-config/ssl_config.txt
- name: CLIENT_VERIFY
  value: {{ .Values.server.tls.clientVerify | toString | quote }}
{{- end }}
{{- end }}

{{/* Seconds the loader waits: longer for a model that is still being made or fetched. Takes the root context. */}}
{{- define "tensorflow-model.loader.timeoutSeconds" -}}
{{- $source := include "tensorflow-model.model.source" . | fromJson }}
{{- $usual := ternary 3600 60 (or .Values.training.enabled (ne $source.uri "")) }}
{{- default $usual .Values.loader.timeoutSeconds | include "tensorflow-model.number" }}
{{- end }}

{{/* Environment of the follower, likewise. Takes the root context. */}}
{{- define "tensorflow-model.follower.env" -}}
{{- include "tensorflow-model.loader.model" . }}
- name: FOLLOW
  value: "true"
{{- with include "tensorflow-model.model.servedKey" . }}
- name: MODEL_KEY
  value: {{ . | quote }}
{{- end }}
# A version the server cannot load is taken back, and the one before it goes on serving.
- name: SERVER_REST
  value: http://127.0.0.1:8501
- name: LOAD_TIMEOUT_SECONDS
  value: {{ include "tensorflow-model.number" .Values.loader.loadTimeoutSeconds | quote }}
{{- end }}
