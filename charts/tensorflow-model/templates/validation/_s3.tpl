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
{{- range $key, $value := dict "endpoint" $s3.endpoint "region" $s3.region "existingSecret" $s3.secret "caBundle.configMapName" $s3.caConfigMap "webIdentity.roleArn" $s3.role }}
{{- if $value }}
modelStore.s3.{{ $key }} is set but nothing is in a bucket: set modelStore.type=s3, or a uri like s3://BUCKET/KEY (training.data.uri, model.source.uri), or leave it out
{{- end }}
{{- end }}
{{- end }}
{{- if and $s3.caConfigMap (hasPrefix "http://" $s3.endpoint) (not $s3.role) }}
modelStore.s3.caBundle.configMapName is set but modelStore.s3.endpoint is {{ $s3.endpoint }}, where no certificate is checked: use https://, or leave the bundle out
{{- end }}
{{- if and (default dict (default dict .Values.modelStore.s3).secretKeys).sessionToken (not $s3.secret) }}
modelStore.s3.secretKeys.sessionToken is set but modelStore.s3.existingSecret is empty, so there is no Secret it is a key of: name the Secret, or leave it out
{{- end }}
{{- include "tensorflow-model.validation.s3.webIdentity" . }}
{{- end }}

{{/* What cannot work about the pods' own identity, likewise. */}}
{{- define "tensorflow-model.validation.s3.webIdentity" -}}
{{- $s3 := include "tensorflow-model.s3" . | fromJson }}
{{- if $s3.role }}
{{- if $s3.secret }}
modelStore.s3.webIdentity.roleArn is set but modelStore.s3.existingSecret is {{ $s3.secret }}, whose keys the client would take instead: leave one of them out
{{- end }}
{{- if hasKey (default dict .Values.serviceAccount.annotations) "eks.amazonaws.com/role-arn" }}
modelStore.s3.webIdentity.roleArn is set but serviceAccount.annotations has eks.amazonaws.com/role-arn, by which EKS gives the pods an identity as well: leave one of them out
{{- end }}
{{- if hasPrefix "http://" $s3.stsEndpoint }}
modelStore.s3.webIdentity.stsEndpoint is {{ $s3.stsEndpoint }}, but the pods' token is sent there, which the client does by TLS alone: use https://
{{- end }}
{{- if and $s3.endpoint (not $s3.stsEndpoint) (not (regexMatch "[.]amazonaws[.]com([.]cn)?$" (urlParse $s3.endpoint).hostname)) }}
modelStore.s3.webIdentity.roleArn is set and modelStore.s3.endpoint is {{ $s3.endpoint }}, but modelStore.s3.webIdentity.stsEndpoint is empty, so that the pods' token would be sent to AWS: say where the bucket's owner exchanges it
{{- end }}
{{- else }}
{{- with $s3.stsEndpoint }}
modelStore.s3.webIdentity.stsEndpoint is set but modelStore.s3.webIdentity.roleArn is empty, so that nothing is exchanged there: name the role, or leave it out
{{- end }}
{{- if ne $s3.audience "sts.amazonaws.com" }}
modelStore.s3.webIdentity.audience is {{ $s3.audience }} but modelStore.s3.webIdentity.roleArn is empty, so that there is no token for it: name the role, or leave it out
{{- end }}
{{- end }}
{{- end }}
