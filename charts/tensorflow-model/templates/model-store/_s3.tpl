{{/* "true" where models are in a bucket, "" where they are on a volume. Takes the root context. */}}
{{- define "tensorflow-model.modelStore.isS3" -}}
{{- if eq (default "pvc" .Values.modelStore.type) "s3" -}}
true
{{- end }}
{{- end }}

{{/*
modelStore.s3 as JSON, with "" for what is null or not there: endpoint, bucket, prefix, region, pathStyle, caConfigMap, caKey,
secret, secretKeys by the names of AWS' variables, role, audience and stsEndpoint. Takes the root context.
*/}}
{{- define "tensorflow-model.s3" -}}
{{- $s3 := default dict .Values.modelStore.s3 }}
{{- $bundle := default dict $s3.caBundle }}
{{- $keys := default dict $s3.secretKeys }}
{{- $identity := default dict $s3.webIdentity }}
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
  "role" (default "" $identity.roleArn)
  "audience" (default "sts.amazonaws.com" $identity.audience)
  "stsEndpoint" (default "" $identity.stsEndpoint)
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
Environment of a container that speaks to a bucket, or nothing: where it is, and the keys of the Secret or the pod's own
identity, by the names that AWS' SDKs know. Without either the client looks for what a cloud gives. Takes dict "root" and
"component".
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
{{- if $s3.role }}
- name: AWS_ROLE_ARN
  value: {{ $s3.role | quote }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /s3-token/token
{{- with $s3.stsEndpoint }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Mounts of the authorities that an endpoint's certificate is checked against and of the token of the pod's own identity, or
nothing. Takes dict "root" and "component".
*/}}
{{- define "tensorflow-model.s3.volumeMounts" -}}
{{- range $index, $volume := include "tensorflow-model.s3.volumes" . | fromYamlArray }}
{{- if $index }}
{{ end -}}
- name: {{ $volume.name }}
  mountPath: /{{ $volume.name }}
  readOnly: true
{{- end }}
{{- end }}

{{/* The volumes behind those mounts, or nothing. Takes the same. */}}
{{- define "tensorflow-model.s3.volumes" -}}
{{- if include "tensorflow-model.s3.isUsed" . }}
{{- $s3 := include "tensorflow-model.s3" .root | fromJson }}
{{- if $s3.caConfigMap -}}
- name: s3-ca-bundle
  configMap:
    name: {{ $s3.caConfigMap | quote }}
    items:
      - key: {{ $s3.caKey | quote }}
        path: ca.crt
{{- end }}
{{- if and $s3.caConfigMap $s3.role }}
{{ end }}
{{- if $s3.role -}}
- name: s3-token
  projected:
    sources:
      - serviceAccountToken:
          audience: {{ $s3.audience | quote }}
          # The kubelet writes a new one in time, and the client reads it anew for each session.
          expirationSeconds: 3600
          path: token
{{- end }}
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

{{/*
A NetworkPolicy's rules to the bucket's endpoint and to where the pod's own identity is exchanged, or nothing. Takes dict
"root" and "component".
*/}}
{{- define "tensorflow-model.s3.networkRules" -}}
{{- if include "tensorflow-model.s3.isUsed" . }}
{{- $s3 := include "tensorflow-model.s3" .root | fromJson }}
{{- $rules := list (include "tensorflow-model.networkPolicy.uri" (default "https://s3.amazonaws.com" $s3.endpoint)) }}
{{- if $s3.role }}
  {{- $rules = append $rules (include "tensorflow-model.networkPolicy.uri" (default "https://sts.amazonaws.com" $s3.stsEndpoint)) }}
{{- end }}
{{- $rules | uniq | join "\n" }}
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
