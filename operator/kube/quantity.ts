// Kubernetes quantities: `1000m` and `1` are the same amount. Pure; it never formats.

/** @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
const pattern = /^([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(?:(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)|[eE]([+-]?\d{1,3}))?$/

const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const binary: Readonly<Record<string, bigint>> = { Ki: 10n, Mi: 20n, Gi: 30n, Ti: 40n, Pi: 50n, Ei: 60n }

/** An exact amount: `digits` × 10^-`places`. */
interface Amount {
  readonly digits: bigint
  readonly places: number
}

const parse = (text: string): Amount | undefined => {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, number = '', suffix = '', exponent = '0'] = match
  const [whole = '', fraction = ''] = number.replace('+', '').split('.')
  const digits = BigInt(`${whole === '-' ? '-0' : whole || '0'}${fraction}`)
  const shift = binary[suffix]
  if (shift !== undefined) return { digits: digits << shift, places: fraction.length }
  return { digits, places: fraction.length - (decimal[suffix] ?? 0) - Number(exponent) }
}

/** Whether two texts are the same amount; false when one of them is not a quantity. */
export const sameQuantity = (a: string, b: string): boolean => {
  const [left, right] = [parse(a), parse(b)]
  if (left === undefined || right === undefined) return false
  const places = Math.max(left.places, right.places)
  return scaled(left, places) === scaled(right, places)
}

/** An amount in thousandths, rounded up as Kubernetes does; undefined when the text is not a quantity. */
export const milliOf = (text: string | number): bigint | undefined => {
  const amount = parse(String(text))
  if (amount === undefined) return undefined
  if (amount.places <= 3) return scaled(amount, 3)
  const unit = 10n ** BigInt(amount.places - 3)
  return amount.digits / unit + (amount.digits > 0n && amount.digits % unit !== 0n ? 1n : 0n)
}

const scaled = ({ digits, places }: Amount, to: number): bigint => digits * 10n ** BigInt(to - places)
