// How soon the pods of a lost node are made again elsewhere. Pure.

const lossOfNode = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const

interface Toleration {
  readonly key?: string
  readonly operator?: string
  readonly effect?: string
  readonly tolerationSeconds?: number
}

/**
 * Tolerations, and those for a lost node where nobody has set them: its pods leave this long after the node is given up.
 * Without, the API server adds them with 300 seconds (admission plugin DefaultTolerationSeconds).
 */
export const withNodeLoss = (tolerations: unknown, seconds: number): Toleration[] => {
  const given = (Array.isArray(tolerations) ? tolerations : []) as readonly Toleration[]
  const missing = lossOfNode.filter(
    (key) => !given.some((one) => (one.key ?? key) === key && (one.effect ?? 'NoExecute') === 'NoExecute'),
  )
  return [
    ...given,
    ...missing.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds })),
  ]
}
