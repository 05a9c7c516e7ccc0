{{/*
The init container that finds out whether there is anything to do, sees that the store can be written, and fetches data.
What it leaves is a marker, for an init container cannot keep others from running. Takes dict "root" and "isScheduled".
*/}}
{{- define "tensorflow-model.check.container" -}}
{{- $publisher := .root.Values.publisher -}}
- name: check
  {{- include "tensorflow-model.containerImage" (dict "root" .root "component" "publisher") | nindent 2 }}
  args: [check]
  env:
    {{- include "tensorflow-model.check.env" . | nindent 4 }}
  {{- with $publisher.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $publisher.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- if include "tensorflow-model.modelStore.isVolume" .root }}
    - name: model-store
      mountPath: /model-store
    {{- end }}
    {{- with include "tensorflow-model.s3.volumeMounts" (dict "root" .root "component" "training") }}
    {{- . | nindent 4 }}
    {{- end }}
    - name: workspace
      mountPath: /workspaces
    - name: check
      mountPath: /check
    - name: candidate
      mountPath: /candidate
    {{- if include "tensorflow-model.training.caBundle" .root }}
    - name: ca-bundle
      mountPath: /ca-bundle
      readOnly: true
    {{- end }}
    - name: own-tmp
      mountPath: /tmp
{{- end }}

{{/* The init container of the user's code: it sees its inputs and a workspace, and nothing of the store. Takes the same. */}}
{{- define "tensorflow-model.training.container" -}}
{{- $training := .root.Values.training -}}
{{- $data := include "tensorflow-model.training.data" .root | fromJson -}}
- name: training
  {{- include "tensorflow-model.containerImage" (dict "root" .root "component" "training") | nindent 2 }}
  command:
    # What is published already is not trained again.
    - /bin/sh
    - -c
    - '[ -e /check/published ] || exec "$@"'
    - training
    {{- include "tensorflow-model.training.command" .root | nindent 4 }}
  {{- with $training.extraArgs }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    {{- include "tensorflow-model.training.env" . | nindent 4 }}
    {{- with $training.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $training.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $training.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $training.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  # A program that knows nothing of Kubernetes tells why it ended with the last lines it prints.
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: check
      mountPath: /check
      readOnly: true
    - name: files
      mountPath: /config/training.json
      subPath: training.json
      readOnly: true
    {{- if $training.code }}
    - name: code
      mountPath: /code
      readOnly: true
    {{- end }}
    {{- if $data.existingClaim }}
    - name: data
      mountPath: /data
      {{- with $data.path }}
      subPath: {{ . | quote }}
      {{- end }}
      readOnly: true
    {{- else if $data.uri }}
    - name: workspace
      mountPath: /data
      subPath: data/{{ $data.sha256 }}
      readOnly: true
    {{- end }}
    - name: workspace
      mountPath: /workspace
      subPathExpr: runs/$(MODEL_KEY)/$(RUN)
    - name: output
      mountPath: /output
    - name: tmp
      mountPath: /tmp
    {{- with $training.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* What is run to train, as a YAML list. Takes the root context. */}}
{{- define "tensorflow-model.training.command" -}}
{{- $command := .Values.training.command | default (list "/opt/venv/bin/python" "-m" "trainer" "--module" .Values.training.module) }}
{{- $escaped := list }}
{{- range $command }}
  {{- /* What Kubernetes would take for a variable's name is meant as it stands. */}}
  {{- $escaped = append $escaped (toString . | replace "$(" "$$(") }}
{{- end }}
{{- $escaped | toYaml }}
{{- end }}

{{/*
The release's own server beside the publisher: it loads the candidate and answers its example before anything is
published. A native sidecar without a startup probe: a candidate that does not load must not hang the Job, so the
publisher looks by itself. Takes the root context.
*/}}
{{- define "tensorflow-model.blessing.container" -}}
{{- $server := .Values.server -}}
- name: server
  {{- include "tensorflow-model.containerImage" (dict "root" . "component" "server") | nindent 2 }}
  restartPolicy: Always
  command:
    # TensorFlow Serving as process 1 would not hear SIGTERM, and the Job would end a grace period late: the shell is
    # process 1 and passes it on.
    - /bin/sh
    - -c
    - |
      [ -e /check/published ] && exit 0
      "$@" &
      trap 'kill $!; wait $!; exit 0' TERM
      wait $!
    - server
    - tensorflow_model_server
    - --port=8500
    - --rest_api_port=8501
    # It starts without a model, since a server that cannot load its first one ends and says nothing to the publisher,
    # which names the candidate in this file once the server listens.
    - --model_config_file=/candidate/models.config
    - --model_config_file_poll_wait_seconds=1
    - --max_num_load_retries=0
    {{- with $server.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "tensorflow-model.server.env" . | nindent 4 }}
    {{- with $server.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $server.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $server.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $server.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: check
      mountPath: /check
      readOnly: true
    - name: candidate
      mountPath: /candidate
      readOnly: true
    - name: server-tmp
      mountPath: /tmp
    {{- with $server.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* The container that holds what was trained to its gates and publishes it. Takes dict "root" and "isScheduled". */}}
{{- define "tensorflow-model.publisher.container" -}}
{{- $publisher := .root.Values.publisher -}}
- name: publisher
  {{- include "tensorflow-model.containerImage" (dict "root" .root "component" "publisher") | nindent 2 }}
  args: [publish]
  env:
    {{- include "tensorflow-model.publisher.env" . | nindent 4 }}
  {{- with $publisher.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $publisher.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    {{- if include "tensorflow-model.modelStore.isVolume" .root }}
    - name: model-store
      mountPath: /model-store
    {{- end }}
    {{- with include "tensorflow-model.s3.volumeMounts" (dict "root" .root "component" "training") }}
    {{- . | nindent 4 }}
    {{- end }}
    - name: workspace
      mountPath: /workspaces
    - name: check
      mountPath: /check
      readOnly: true
    - name: files
      mountPath: /config/training.json
      subPath: training.json
      readOnly: true
    - name: output
      mountPath: /output
      readOnly: true
    - name: candidate
      mountPath: /candidate
    - name: own-tmp
      mountPath: /tmp
{{- end }}
