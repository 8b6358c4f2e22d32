// spec.model: what to serve and where it comes from. Inside the identity: no field here may carry a default.
import { Type } from '@sinclair/typebox'
import { digest, object, text, word } from './field.ts'

const uri = text({
  description:
    'Where the model file is: oci://registry/repository, s3://bucket/key, gs://bucket/key, az://container/key, https://host/path, http://host/path, pvc://claim/path or hf://org/repo@revision/file.',
  minLength: 1,
  maxLength: 2048,
  rules: [
    {
      rule: "self.matches('^(oci|s3|gs|az|https|http|pvc|hf)://[^/]')",
      message:
        'start the uri with oci://, s3://, gs://, az://, https://, http://, pvc:// or hf://, then the host, bucket or claim',
    },
    {
      rule: "!self.matches('[[:space:]#]')",
      message: 'a uri has no spaces and no #: write %20 and %23',
    },
    {
      rule: "!self.matches('^https?://[^/?]*@')",
      message: 'a uri carries no user or password: put them in a Secret and name it in model.credentialsSecret',
    },
    {
      rule: "!self.startsWith('pvc://') || (self.matches('^pvc://[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[^/](.*[^/])?$') && !self.matches('/[.][.]?(/|$)'))",
      message:
        'write pvc://claim/path/to/model.onnx: the claim, then the path of a file inside it, without . or .. segments',
    },
    {
      rule: "!self.startsWith('hf://') || self.matches('^hf://[^/@]+/[^/@]+@[^/@]+/[^/](.*[^/])?$')",
      message: 'write hf://org/repo@revision/path/to/model.onnx; the revision is a branch, tag or commit',
    },
    {
      rule: "!self.startsWith('oci://') || self.matches('^oci://[^/@]+/[^@]+(@sha256:[0-9a-f]{64})?$')",
      message: 'write oci://registry/repository:tag or oci://registry/repository@sha256: with 64 hexadecimal digits',
    },
    {
      rule: "!self.matches('^(s3|gs|az)://') || self.matches('^(s3|gs|az)://[^/]+/[^/](.*[^/])?$')",
      message: 'name the bucket or container and the key of one file, such as s3://bucket/path/to/model.onnx',
    },
  ],
})

export const modelSchema = object(
  {
    uri,
    digest: Type.Optional(
      digest({
        description:
          'The sha256 that the model must have, as sha256: and 64 hexadecimal digits; when unset, the digest found first is frozen in the revision.',
      }),
    ),
    version: Type.Optional(
      text({
        description:
          'The version that people see and may ask for by name; when unset, 12 hexadecimal digits of the digest.',
        minLength: 1,
        maxLength: 63,
        pattern: '^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$',
      }),
    ),
    name: Type.Optional(
      text({
        description: 'The name in /v2/models/<name>; when unset, metadata.name.',
        minLength: 1,
        maxLength: 128,
        pattern: '^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$',
      }),
    ),
    credentialsSecret: Type.Optional(
      text({
        description:
          'The Secret of this namespace with the credentials of the store; mounted by the fetch step only, never read by the operator; when unset, no credentials are used.',
        minLength: 1,
        maxLength: 253,
        pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$',
      }),
    ),
    contract: Type.Optional(
      word(['Compatible', 'Any'], {
        description:
          'Compatible refuses a model whose inputs or outputs would break clients of the serving one, Any takes every model; when unset, Compatible.',
      }),
    ),
  },
  {
    description: 'The model to serve.',
    rules: [
      {
        rule: "!has(self.digest) || !self.uri.contains('@sha256:') || self.uri.endsWith('@' + self.digest)",
        message: 'digest and the digest in the uri differ: keep one of the two',
      },
      {
        rule: "!has(self.credentialsSecret) || !self.uri.startsWith('pvc://')",
        message: 'a pvc:// model is mounted and needs no credentials: remove credentialsSecret',
      },
    ],
  },
)
