// spec.traffic: how requests reach the pods. What the mode cannot honour is refused here, never ignored.
import { Type } from '@sinclair/typebox'
import { defaultedObject, integer, list, object, positiveDuration, text, word } from './field.ts'

const dnsLabel = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const dnsName = `${dnsLabel}([.]${dnsLabel})*`

const parentRef = object(
  {
    name: text({ description: 'The name of the Gateway.', minLength: 1, maxLength: 253, pattern: `^${dnsName}$` }),
    namespace: Type.Optional(
      text({
        description: 'The namespace of the Gateway; when unset, the namespace of this object.',
        minLength: 1,
        maxLength: 63,
        pattern: `^${dnsLabel}$`,
      }),
    ),
    sectionName: Type.Optional(
      text({
        description: 'The listener of the Gateway; when unset, every listener that allows it.',
        minLength: 1,
        maxLength: 253,
        pattern: `^${dnsName}$`,
      }),
    ),
    port: Type.Optional(
      integer({
        description: 'The port of the Gateway; when unset, every port that allows it.',
        minimum: 1,
        maximum: 65_535,
      }),
    ),
  },
  { description: 'A Gateway that the route attaches to.' },
)

const gateway = object(
  {
    parentRefs: list(parentRef, {
      description: 'The Gateways that the route attaches to, 1 to 16.',
      kind: 'atomic',
      minItems: 1,
      maxItems: 16,
    }),
    hostnames: Type.Optional(
      list(
        text({
          description: 'A host name; its first label may be *.',
          minLength: 1,
          maxLength: 253,
          pattern: `^([*][.])?${dnsName}$`,
        }),
        {
          description: 'The host names that the route answers to, at most 16; when unset, those of the listeners.',
          kind: 'set',
          maxItems: 16,
        },
      ),
    ),
  },
  { description: 'The route to create in mode Gateway; required there and refused in every other mode.' },
)

const sticky = object(
  {
    header: text({
      description: 'The request header whose value decides the side, such as x-user-id.',
      minLength: 1,
      maxLength: 128,
      pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    }),
  },
  {
    description:
      'Keeps each user on one side while a canary grows; needs mode Router and strategy Canary; when unset, each request is drawn by itself.',
  },
)

export const trafficSchema = defaultedObject(
  {
    mode: word(['Router', 'Gateway', 'Direct'], {
      description:
        'Router sends requests through the routers of the namespace, Gateway adds a route to a Gateway of the cluster, Direct points the Service straight at the pods; default Router.',
      default: 'Router',
    }),
    timeout: Type.Optional(
      positiveDuration({
        description:
          'How long a router, or a Gateway for HTTP, waits for an answer, such as 60s; not with mode Direct; when unset, 60s.',
      }),
    ),
    sticky: Type.Optional(sticky),
    gateway: Type.Optional(gateway),
  },
  {
    description: 'How requests reach the pods; default {mode: Router}.',
    rules: [
      {
        rule: "self.mode != 'Gateway' || has(self.gateway)",
        message: 'mode Gateway needs a Gateway: name it in traffic.gateway.parentRefs, or set mode to Router or Direct',
      },
      {
        rule: "self.mode == 'Gateway' || !has(self.gateway)",
        message: 'traffic.gateway is used in mode Gateway only: set mode to Gateway, or remove traffic.gateway',
      },
      {
        rule: "self.mode != 'Gateway' || !has(self.sticky)",
        message:
          'mode Gateway cannot keep users on one side while shares change: set mode to Router, or remove traffic.sticky',
      },
      {
        rule: "self.mode != 'Direct' || !has(self.timeout)",
        message: 'mode Direct has no proxy that could keep a timeout: set mode to Router, or remove traffic.timeout',
      },
      {
        rule: "self.mode != 'Direct' || !has(self.sticky)",
        message:
          'mode Direct has no proxy that could keep users on one side: set mode to Router, or remove traffic.sticky',
      },
    ],
  },
)
