// The shares of one traffic setting in a line: what was asked for beside what the routers counted, with its interval.
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'

/** Undefined where nothing is shared out, or too few requests have come to tell. */
export const sharesOf = ({ status }: ModelDeployment): string | undefined => {
  const { weights = [], measured } = status?.traffic ?? {}
  if (weights.length < 2 || measured === undefined) return undefined
  return weights
    .map(({ revision, weight }) => {
      const found = measured.find((m) => m.revision === revision)
      const version = [status?.stable, status?.candidate].find((r) => r?.revision === revision)?.version ?? revision
      const counted = found && `got ${percent(found.share)} (${percent(found.low)} to ${percent(found.high)})`
      return `${version} was to get ${weight / 10}% and ${counted ?? 'was not counted'}`
    })
    .join(', ')
}

const percent = (share: string): string => `${(Number(share) * 100).toFixed(1)}%`
