{{/*
The pod template of training: check, the user's code, then the publisher with the release's server beside it. Versions of
the chart stay out of it. Takes dict "root" and "isScheduled", whether a schedule starts it.
*/}}
{{- define "tensorflow-model.training.pod" -}}
{{- include "tensorflow-model.inputs" (dict "template" "training.pod" "needs" (list "root" "isScheduled") "given" .) -}}
{{- $root := .root }}
{{- $component := dict "root" $root "component" "training" "modelKey" (include "tensorflow-model.model.key" $root) }}
{{- $training := $root.Values.training -}}
{{- $annotations := merge (dict "kubectl.kubernetes.io/default-container" "training") $training.podAnnotations (include "tensorflow-model.s3.annotations" $component | fromJson) -}}
metadata:
  labels:
    {{- include "tensorflow-model.podLabels" $component | nindent 4 }}
  {{- include "tensorflow-model.annotations" (dict "root" $root "annotations" $annotations) | nindent 2 }}
spec:
  {{- include "tensorflow-model.podHead" $component | nindent 2 }}
  {{- with include "tensorflow-model.scheduling" $component }}
  {{- . | nindent 2 }}
  {{- end }}
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ $training.terminationGracePeriodSeconds | int }}
  initContainers:
    {{- with $training.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "tensorflow-model.check.container" . | nindent 4 }}
    {{- include "tensorflow-model.training.container" . | nindent 4 }}
    {{- if $training.blessing.enabled }}
    {{- include "tensorflow-model.blessing.container" $root | nindent 4 }}
    {{- end }}
  containers:
    {{- include "tensorflow-model.publisher.container" . | nindent 4 }}
  volumes:
    {{- include "tensorflow-model.training.volumes" $root | nindent 4 }}
{{- end }}

{{/* Volumes of the training pod. Takes the root context. */}}
{{- define "tensorflow-model.training.volumes" -}}
{{- $training := .Values.training -}}
{{- $data := include "tensorflow-model.training.data" . | fromJson -}}
- name: workspace
  {{- if $training.workspace.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "tensorflow-model.workspace.claimName" . | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ $training.workspace.size | quote }}
  {{- end }}
- name: check
  emptyDir:
    sizeLimit: 1Mi
- name: files
  configMap:
    name: {{ include "tensorflow-model.training.filesName" . }}
{{- with $training.code }}
- name: code
  configMap:
    name: {{ include "tensorflow-model.training.filesName" $ }}
    items:
      {{- range $name, $_ := . }}
      - key: {{ $name | quote }}
        path: {{ $name | quote }}
      {{- end }}
{{- end }}
{{- with $data.existingClaim }}
- name: data
  persistentVolumeClaim:
    claimName: {{ . | quote }}
    readOnly: true
{{- end }}
{{- if include "tensorflow-model.training.caBundle" . }}
- name: ca-bundle
  configMap:
    name: {{ $training.data.caBundle.configMapName | quote }}
    items:
      - key: {{ $training.data.caBundle.key | default "ca.crt" | quote }}
        path: ca.crt
{{- end }}
{{- with include "tensorflow-model.s3.volumes" (dict "root" . "component" "training") }}
{{ . }}
{{- end }}
- name: output
  {{- include "tensorflow-model.emptyDir" $training.modelSizeLimit | nindent 2 }}
- name: candidate
  {{- include "tensorflow-model.emptyDir" $training.modelSizeLimit | nindent 2 }}
- name: own-tmp
  emptyDir:
    sizeLimit: 1Gi
{{- if $training.blessing.enabled }}
- name: server-tmp
  {{- include "tensorflow-model.emptyDir" .Values.server.tmpSizeLimit | nindent 2 }}
{{- with .Values.server.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{ include "tensorflow-model.volumes" (dict "root" . "component" "training") }}
{{- end }}

{{/* "true" where data is fetched under authorities of the user's own, else "". Takes the root context. */}}
{{- define "tensorflow-model.training.caBundle" -}}
{{- $data := include "tensorflow-model.training.data" . | fromJson }}
{{- if and $data.uri (.Values.training.data.caBundle.configMapName) -}}
true
{{- end }}
{{- end }}
