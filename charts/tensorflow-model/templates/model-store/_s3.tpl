{{/* "true" where models are in a bucket, "" where they are on a volume. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.isS3" -}}
{{- if eq (default "pvc" .Values.modelStore.type) "s3" -}}
true
{{- end }}
{{- end }}

{{/*
modelStore.s3 as JSON, with "" for what is null or not there: endpoint, bucket, prefix, region, pathStyle, caConfigMap, caKey,
secret, and secretKeys by the names of AWS' variables. Takes the root context.
*/}}
{{- define "tensorflow-model.s3" -}}
{{- $s3 := default dict .Values.modelStore.s3 }}
{{- $bundle := default dict $s3.caBundle }}
{{- $keys := default dict $s3.secretKeys }}
{{- dict
  "endpoint" (default "" $s3.endpoint)
  "bucket" (default "" $s3.bucket)
  "prefix" (default "" $s3.prefix)
  "region" (default "" $s3.region)
  "pathStyle" (ternary "" (toString $s3.pathStyle) (kindIs "invalid" $s3.pathStyle))
  "caConfigMap" (default "" $bundle.configMapName)
  "caKey" (default "ca.crt" $bundle.key)
  "secret" (default "" $s3.existingSecret)
  "secretKeys" (dict
    "AWS_ACCESS_KEY_ID" (default "AWS_ACCESS_KEY_ID" $keys.accessKeyId)
    "AWS_SECRET_ACCESS_KEY" (default "AWS_SECRET_ACCESS_KEY" $keys.secretAccessKey)
    "AWS_SESSION_TOKEN" (default "" $keys.sessionToken)
  )
| toJson }}
{{- end }}

{{/*
"true" for a component one of whose containers speaks to a bucket, else "": it has the model store, or what is fetched by a
URI like s3://. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.s3.isUsed" -}}
{{- include "tensorflow-model.inputs" (dict "template" "s3.isUsed" "needs" (list "root" "component") "given" .) -}}
{{- $isStore := and (include "tensorflow-model.modelStore.isS3" .root) (include "tensorflow-model.modelStore.isUsed" .root) }}
{{- $source := include "tensorflow-model.model.source" .root | fromJson }}
{{- $data := include "tensorflow-model.training.data" .root | fromJson }}
{{- $isFetched := dict
  "server" (hasPrefix "s3://" $source.uri)
  "training" (and .root.Values.training.enabled (hasPrefix "s3://" (default "" $data.uri)))
}}
{{- $hasStore := and $isStore (or (eq .component "server") (and (eq .component "training") .root.Values.training.enabled)) }}
{{- if or $hasStore (get $isFetched .component) -}}
true
{{- end }}
{{- end }}

{{/*
Environment of a container that speaks to a bucket, or nothing: where it is, and the keys of the Secret. Without a Secret
the client looks for the pod's own identity. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.s3.env" -}}
{{- if include "tensorflow-model.s3.isUsed" . }}
{{- $s3 := include "tensorflow-model.s3" .root | fromJson }}
{{- $isStore := and (include "tensorflow-model.modelStore.isS3" .root) (include "tensorflow-model.modelStore.isUsed" .root) }}
{{- if $isStore }}
- name: S3_BUCKET
  value: {{ $s3.bucket | quote }}
{{- with $s3.prefix }}
- name: S3_PREFIX
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $name := list "endpoint" "region" "pathStyle" }}
{{- with get $s3 $name }}
- name: S3_{{ snakecase $name | upper }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- if $s3.caConfigMap }}
- name: S3_CA_BUNDLE
  value: /s3-ca-bundle/ca.crt
{{- end }}
{{- range $name, $key := $s3.secretKeys }}
{{- if and $s3.secret $key }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $s3.secret | quote }}
      key: {{ $key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Mount of the authorities that an endpoint's certificate is checked against, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.s3.volumeMount" -}}
{{- if and (include "tensorflow-model.s3.isUsed" .) (include "tensorflow-model.s3" .root | fromJson).caConfigMap -}}
- name: s3-ca-bundle
  mountPath: /s3-ca-bundle
  readOnly: true
{{- end }}
{{- end }}

{{/* The volume behind that mount, or nothing. Takes the same. */}}
{{- define "tensorflow-model.s3.volume" -}}
{{- $s3 := include "tensorflow-model.s3" .root | fromJson }}
{{- if and (include "tensorflow-model.s3.isUsed" .) $s3.caConfigMap -}}
- name: s3-ca-bundle
  configMap:
    name: {{ $s3.caConfigMap | quote }}
    items:
      - key: {{ $s3.caKey | quote }}
        path: ca.crt
{{- end }}
{{- end }}

{{/*
Annotations of a pod that has an identity of its own for a bucket, as JSON: EKS is to leave it out of the containers that run
others' code or only serve. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.s3.annotations" -}}
{{- $annotations := dict }}
{{- if and (include "tensorflow-model.s3.isUsed" .) (not (include "tensorflow-model.s3" .root | fromJson).secret) }}
  {{- $_ := set $annotations "eks.amazonaws.com/skip-containers" (ternary "training,server" "server" (eq .component "training")) }}
{{- end }}
{{- $annotations | toJson }}
{{- end }}

{{/* A NetworkPolicy's rule to the bucket's endpoint, or nothing. Takes dict "root" and "component". */}}
{{- define "tensorflow-model.s3.networkRule" -}}
{{- if include "tensorflow-model.s3.isUsed" . }}
{{- include "tensorflow-model.networkPolicy.uri" (default "https://s3.amazonaws.com" (include "tensorflow-model.s3" .root | fromJson).endpoint) }}
{{- end }}
{{- end }}

{{/* Where models are, for people. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.place" -}}
{{- if include "tensorflow-model.modelStore.isS3" . -}}
{{- $s3 := include "tensorflow-model.s3" . | fromJson -}}
the bucket s3://{{ $s3.bucket }}{{ with trimAll "/" $s3.prefix }}/{{ . }}{{ end }}
{{- else -}}
the claim {{ include "tensorflow-model.modelStore.claimName" . }}
{{- end }}
{{- end }}
