{{/* What cannot work about a bucket, one sentence a line. Takes the root context. */}}
{{- define "tensorflow-model.validation.s3" -}}
{{- $s3 := include "tensorflow-model.s3" . | fromJson }}
{{- $isFetched := or (include "tensorflow-model.s3.isUsed" (dict "root" . "component" "server")) (include "tensorflow-model.s3.isUsed" (dict "root" . "component" "training")) }}
{{- if include "tensorflow-model.modelStore.isS3" . }}
{{- if not $s3.bucket }}
modelStore.type is s3 but modelStore.s3.bucket is empty, so nothing says where models are: name the bucket
{{- end }}
{{- range $key := list "existingClaim" "volumeName" }}
{{- if get $.Values.modelStore.pvc $key }}
modelStore.pvc.{{ $key }} is set but modelStore.type is s3, so that no volume is used: set modelStore.type=pvc, or leave it out
{{- end }}
{{- end }}
{{- else }}
{{- range $key := list "bucket" "prefix" }}
{{- if get $s3 $key }}
modelStore.s3.{{ $key }} is set but modelStore.type is pvc, so that models go to the volume: set modelStore.type=s3, or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if not (or $isFetched (include "tensorflow-model.modelStore.isS3" .)) }}
{{- range $key, $value := dict "endpoint" $s3.endpoint "region" $s3.region "existingSecret" $s3.secret "caBundle.configMapName" $s3.caConfigMap }}
{{- if $value }}
modelStore.s3.{{ $key }} is set but nothing is in a bucket: set modelStore.type=s3, or a uri like s3://BUCKET/KEY (training.data.uri, model.source.uri), or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if and $s3.caConfigMap (hasPrefix "http://" $s3.endpoint) }}
modelStore.s3.caBundle.configMapName is set but modelStore.s3.endpoint is {{ $s3.endpoint }}, where no certificate is checked: use https://, or leave the bundle out
{{- end }}
{{- if and (default dict (default dict .Values.modelStore.s3).secretKeys).sessionToken (not $s3.secret) }}
modelStore.s3.secretKeys.sessionToken is set but modelStore.s3.existingSecret is empty, so there is no Secret it is a key of: name the Secret, or leave it out
{{- end }}
{{- end }}
