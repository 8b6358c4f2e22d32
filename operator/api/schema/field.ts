// The kinds of field that the resource is built from, each with its bounds. They must never produce a float, an
// unbounded string or an unbounded list: the API server needs bounds to cost CEL rules, and so does etcd.
import { Type, type SchemaOptions, type Static, type TObject, type TProperties, type TSchema } from '@sinclair/typebox'

/** One CEL rule; the message names the fix, since it is all that a user sees. */
export interface Rule {
  readonly rule: string
  readonly message: string
  /** The field that the refusal names, relative to where the rule stands; that place itself when unset. */
  readonly fieldPath?: string
}

interface Common<Value> {
  readonly description: string
  readonly default?: Value
  readonly rules?: readonly Rule[]
}

interface TextOptions extends Common<string> {
  readonly maxLength: number
  readonly minLength?: number
  readonly pattern?: string
}

interface IntegerOptions extends Common<number> {
  readonly minimum?: number
  readonly maximum?: number
}

interface ListOptions extends Common<readonly unknown[]> {
  readonly maxItems: number
  readonly minItems?: number
  /** `map` lists name the keys that identify an item; `set` lists hold each scalar once. */
  readonly kind: 'atomic' | 'set' | { readonly mapBy: readonly string[] }
}

type ObjectOptions = Omit<Common<never>, 'default'>

export const text = (options: TextOptions) => Type.String(constraints(options))

/** A word out of a closed list. */
export const word = <const Words extends readonly string[]>(words: Words, options: Common<Words[number]>) =>
  Type.Unsafe<Words[number]>({ type: 'string', enum: [...words], ...constraints(options) })

export const flag = (options: Common<boolean>) => Type.Boolean(constraints(options))

/** 32 bits, which every count of pods, requests or samples fits. */
export const integer = (options: IntegerOptions) => Type.Integer({ format: 'int32', ...constraints(options) })

/** 64 bits, for sizes, generations and epochs. */
export const long = (options: IntegerOptions) => Type.Integer({ format: 'int64', ...constraints(options) })

/** An integer, or a string of the given pattern where an integer cannot say it. */
export const integerOrText = <Text extends string = string>(
  options: Common<number | Text> & { minimum?: number; maximum?: number; pattern: string; maxLength: number },
) => Type.Unsafe<number | Text>({ 'x-kubernetes-int-or-string': true, ...constraints(options) })

export const list = <Item extends TSchema>(item: Item, { kind, ...options }: ListOptions) =>
  Type.Array(item, {
    ...constraints(options),
    ...(typeof kind === 'string'
      ? { 'x-kubernetes-list-type': kind }
      : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...kind.mapBy] }),
  })

/**
 * An object. A property with a default is never absent in what the API server returns, so its type is not
 * optional; the CRD still lets users leave it out (crd.ts).
 */
export const object = <Properties extends TProperties>(
  properties: Properties,
  options: ObjectOptions,
): TObject<Properties> => Type.Object(properties, constraints(options))

/**
 * An object that the API server fills in when it is left out. Its default spells out the defaults of its fields,
 * since rules are checked against a default as it stands.
 */
export const defaultedObject = <Properties extends TProperties>(
  properties: Properties,
  options: ObjectOptions,
): TObject<Properties> => Type.Object(properties, { ...constraints(options), default: defaultsOf(properties) })

/** A map from free keys to values of one kind. */
export const map = <Value extends TSchema>(value: Value, options: ObjectOptions & { maxProperties: number }) =>
  Type.Unsafe<Record<string, Static<Value>>>({
    type: 'object',
    additionalProperties: value,
    ...constraints(options),
  })

/** An object whose fields are not ours to know; the API server keeps them as they are. */
export const freeForm = <Shape = Record<string, unknown>>(options: ObjectOptions) =>
  Type.Unsafe<Shape>({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true, ...constraints(options) })

const durationPattern = '^([0-9]{1,6}(ms|s|m|h)){1,4}$'
const durationForm = 'such as 500ms, 30s, 2m or 1h30m'

/** A length of time; zero is meaningful. Parsed by duration.ts. */
export const duration = (options: Common<string>) =>
  text({
    maxLength: 32,
    pattern: durationPattern,
    ...options,
    rules: [{ rule: `self.matches('${durationPattern}')`, message: `write a number with its unit, ${durationForm}` }],
  })

/** A length of time above zero. Parsed by duration.ts. */
export const positiveDuration = (options: Common<string>) =>
  text({
    maxLength: 32,
    pattern: durationPattern,
    ...options,
    rules: [
      {
        rule: `self.matches('${durationPattern}') && self.matches('[1-9]')`,
        message: `write a number above zero with its unit, ${durationForm}`,
      },
    ],
  })

/** A moment, RFC 3339. */
export const timestamp = (options: Common<string>) =>
  Type.String({ format: 'date-time', maxLength: 40, ...constraints(options) })

/** `sha256:` and 64 hexadecimal digits. */
export const digest = (options: Common<string>) => text({ maxLength: 71, pattern: '^sha256:[0-9a-f]{64}$', ...options })

/** The ten hexadecimal digits that identify a revision. */
export const hash = (options: Common<string>) => text({ maxLength: 10, pattern: '^[0-9a-f]{10}$', ...options })

/** The name of a ModelRevision. */
export const revisionRef = (options: Common<string>) => text({ maxLength: 63, ...options })

const constraints = <Options extends Common<unknown>>({
  rules,
  ...rest
}: Options): SchemaOptions & Omit<Options, 'rules'> => ({
  ...rest,
  ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules.map((rule) => ({ ...rule })) }),
})

const defaultsOf = (properties: TProperties): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(properties).flatMap(([name, field]) => {
      const value: unknown = field['default']
      return value === undefined ? [] : [[name, value]]
    }),
  )
