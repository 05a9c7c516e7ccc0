{{/* What cannot work about the model server's files, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.server" -}}
{{- include "tensorflow-model.validation.versions" . }}
{{- include "tensorflow-model.validation.batching" .Values.server.batching }}
{{- include "tensorflow-model.validation.requestSize" . }}
{{- include "tensorflow-model.validation.tls" .Values.server.tls }}
{{- include "tensorflow-model.validation.dropIn" .Values.server }}
{{- if and (include "tensorflow-model.model.isFollowed" .) (eq (int .Values.server.fileSystemPollWaitSeconds) 0) }}
server.fileSystemPollWaitSeconds is 0, so the server never sees the versions that the follower hands over (nothing pins one): set it to 1 or more, set model.version, or set loader.follow=false
{{- end }}
{{- end }}

{{/* Versions and labels: /predict has one meaning, and a label names a version that is there. Takes the root context. */}}
{{- define "tensorflow-model.validation.versions" -}}
{{- $config := .Values.server.config }}
{{- $pinned := include "tensorflow-model.model.version" . }}
{{- if and (include "tensorflow-model.server.hasModelConfig" .) (not $pinned) }}
server.config names versions but model.version is empty, so which one /predict means is open: set model.version
{{- else }}
{{- $served := list $pinned }}
{{- range $config.versions }}
{{- $version := include "tensorflow-model.versionNumber" . }}
{{- if eq $version $pinned }}
server.config.versions has {{ $version }}, which is model.version already: leave it out
{{- end }}
{{- $served = append $served $version }}
{{- end }}
{{- range $label, $number := $config.versionLabels }}
{{- $version := include "tensorflow-model.versionNumber" $number }}
{{- if not (has $version $served) }}
server.config.versionLabels.{{ $label }} is {{ $version }}, which is not served: make it model.version or add it to server.config.versions
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* BatchingParameters tensorflow_model_server would stop at. Takes server.batching. */}}
{{- define "tensorflow-model.validation.batching" -}}
{{- if .enabled }}
{{- $largest := default 1000 .maxBatchSize | int }}
{{- $bound := "maxBatchSize" }}
{{- if .enableLargeBatchSplitting }}
{{- if gt (default $largest .maxExecutionBatchSize | int) $largest }}
server.batching.maxExecutionBatchSize is {{ int .maxExecutionBatchSize }} but maxBatchSize is {{ $largest }}: make it {{ $largest }} or less
{{- end }}
{{- $largest = default $largest .maxExecutionBatchSize | int }}
{{- $bound = ternary "maxExecutionBatchSize" $bound (not (empty .maxExecutionBatchSize)) }}
{{- else if .maxExecutionBatchSize }}
server.batching.maxExecutionBatchSize is set but enableLargeBatchSplitting is false, so no request is cut: set it to true
{{- end }}
{{- $previous := 0 }}
{{- range .allowedBatchSizes }}
{{- if le (int .) $previous }}
server.batching.allowedBatchSizes has {{ int . }} after {{ $previous }}: sort it in ascending order
{{- end }}
{{- $previous = int . }}
{{- end }}
{{- if and .allowedBatchSizes (ne $previous $largest) }}
server.batching.allowedBatchSizes ends in {{ $previous }} but {{ $bound }} is {{ $largest }}: the last size must be {{ $largest }}
{{- end }}
{{- end }}
{{- end }}

{{/* Keys that mean nothing without the Secret, and an api that would be turned away. Takes server.tls. */}}
{{- define "tensorflow-model.validation.tls" -}}
{{- if not .secretName }}
{{- range $key := list "serverName" "clientVerify" "clientSecretName" }}
{{- if index $ $key }}
server.tls.{{ $key }} is set but server.tls.secretName is empty, so gRPC is plain: name the Secret
{{- end }}
{{- end }}
{{- else if and .clientVerify (not .clientSecretName) }}
server.tls.clientVerify is true but the api has no certificate to show: set server.tls.clientSecretName
{{- end }}
{{- end }}

{{/* What only the drop-in does: tensorflow/serving passes over flags that it does not know. Takes server. */}}
{{- define "tensorflow-model.validation.dropIn" -}}
{{- if hasSuffix "tensorflow/serving" .image.repository }}
{{- $wayOut := "set server.image.repository=tensorflow-model-server, registry and tag empty" }}
{{- if include "tensorflow-model.server.limits" .limits }}
server.limits is set but server.image is tensorflow/serving, which has no such flags and would go on without limits: {{ $wayOut }}, or leave server.limits out and keep strangers away by networkPolicy
{{- end }}
{{- if .reloadConfigRoot }}
server.reloadConfigRoot is set but server.image is tensorflow/serving, which has no such flag and lets anybody reload anything: {{ $wayOut }}, or leave it empty
{{- end }}
{{- end }}
{{- end }}

{{/*
The largest requests the server is sent: warm-up records (WARMUP_BATCH_SIZES of model/trainer/src/trainer/export.py), without
which no version comes up, and the api's. Takes the root context.
*/}}
{{- define "tensorflow-model.validation.requestSize" -}}
{{- $batching := .Values.server.batching }}
{{- if $batching.enabled }}
{{- $largest := default 1000 $batching.maxBatchSize | int }}
{{- $sent := max (int .Values.api.batchSize) (int .Values.api.maxInputsPerRequest) 128 | int }}
{{- if lt $largest $sent }}
server.batching.maxBatchSize is {{ $largest }}, which would refuse requests of {{ $sent }} rows (the most of api.batchSize, api.maxInputsPerRequest and the model's 128 warm-up rows): make it {{ $sent }} or more
{{- end }}
{{- end }}
{{- end }}
