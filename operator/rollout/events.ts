// What can happen in the life of a rollout, as plain data, so that a life that breaks something can be printed and pinned.
// Test-only.
import type { ModelDeploymentSpec } from '../api/modeldeployment.ts'
import type { CheckResult } from './observed.ts'

/** How a life goes on. */
export type Event =
  | { readonly do: 'edit'; readonly version: number }
  | { readonly do: 'policy'; readonly rollout: Partial<ModelDeploymentSpec['rollout']> }
  | { readonly do: 'replicas'; readonly count: number }
  | { readonly do: 'command'; readonly op: string; readonly version: number | 'candidate'; readonly id: number }
  | { readonly do: 'malformed'; readonly id: string }
  | { readonly do: 'ready' | 'crash'; readonly version: number }
  | { readonly do: 'pods'; readonly version: number; readonly ready: number }
  | { readonly do: 'trouble'; readonly fatal: boolean | undefined }
  | { readonly do: 'servingTrouble' }
  | { readonly do: 'pull' | 'stale' | 'replace' | 'cut'; readonly router: number }
  | { readonly do: 'routers'; readonly count: number }
  | { readonly do: 'figures'; readonly kind: 'good' | 'bad' | 'few' | 'none' | 'missing' | 'astray' }
  | { readonly do: 'golden' | 'shadow'; readonly verdict: CheckResult['verdict']; readonly late: boolean }
  | { readonly do: 'plan' | 'perform' | 'die'; readonly controller: number }
  /** Several looks of the operator in a row, with all that they ask for: how a rollout gets anywhere between faults. */
  | { readonly do: 'rounds'; readonly count: number; readonly lucky: boolean }
  | { readonly do: 'clock'; readonly ms: number }
  | { readonly do: 'lose'; readonly what: 'revision' | 'workload'; readonly version: number }
  | { readonly do: 'wipe' }
  | { readonly do: 'refuse'; readonly on: boolean }

/** How a life begins: something serves already, or nothing does. */
export interface Beginning {
  readonly first: boolean
  readonly replicas: number
  readonly rollout: Partial<ModelDeploymentSpec['rollout']>
}

/** The versions that lives are about. */
export const versions = [1, 2, 3, 4]
