// Settings that come as JSON in one variable: each field checked by itself, every problem told at once. Pure.

/** What is wrong with a value, in words; undefined when nothing is. */
export type Check = (value: unknown, path: string) => string | undefined

/** The checked object, or every problem with its field, what was found and what it should be. */
export type Settings =
  { readonly settings: Readonly<Record<string, unknown>> } | { readonly problems: readonly string[] }

/** Reads a JSON object that has these fields and no others. */
export const readSettings = (text: string, fields: Readonly<Record<string, Check>>): Settings => {
  const given = parsed(text)
  if (!isObject(given)) return { problems: [`is ${text}; it must be a JSON object`] }
  const problems = Object.entries(given).flatMap(([field, value]) => {
    const check = fields[field]
    if (check === undefined) return [`has ${field}; it may have ${Object.keys(fields).join(', ')}`]
    return check(value, field) ?? []
  })
  return problems.length > 0 ? { problems } : { settings: given }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A check that says what the value should have been. */
const must =
  (holds: (value: unknown) => boolean, what: string): Check =>
  (value, path) =>
    holds(value) ? undefined : `has ${path} ${JSON.stringify(value)}; it must be ${what}`

export const isText = must((value) => typeof value === 'string', 'a string')
export const isFlag = must((value) => typeof value === 'boolean', 'true or false')
export const isPort = must((value) => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536, 'a port')
export const isAnObject = must(isObject, 'an object')
/** A reference to an object by its name, and nothing beside it. */
export const isNamed = must(
  (value) =>
    isObject(value) && typeof value['name'] === 'string' && value['name'] !== '' && Object.keys(value).length === 1,
  '{"name": "<its name>"}',
)

export const isStrings: Check = (value, path) => {
  if (!isObject(value)) return isAnObject(value, path)
  return firstOf(Object.entries(value).map(([key, one]) => isText(one, `${path}.${key}`)))
}

export const isListOf =
  (check: Check): Check =>
  (value, path) =>
    Array.isArray(value)
      ? firstOf(value.map((one, index) => check(one, `${path}[${index}]`)))
      : `has ${path} ${JSON.stringify(value)}; it must be a list`

const firstOf = (problems: readonly (string | undefined)[]): string | undefined =>
  problems.find((one) => one !== undefined)
