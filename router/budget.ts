// How many files Envoy may be told to follow. It takes an inotify instance for each, of which the kernel gives a user of a
// node `fs.inotify.max_user_instances` (128 unless the node says otherwise), and aborts when there is none left: a
// model too many would take all others along. So a model that does not fit is not served, and it is said why.
import { readFile } from 'node:fs/promises'
import { protocols, type Setting } from './model.ts'
import type { Decision } from './setting.ts'

const limitFile = '/proc/sys/fs/inotify/max_user_instances'
/** The kernel's own default, where the file cannot be read. */
const defaultLimit = 128
/** The lists of clusters and of listeners. */
const ownFiles = 2
/** All routers run as one user, and on a small cluster two of a namespace share a node. */
const routersOnNode = 2

/** Files that the models of this router may have between them. */
export const filesAtMost = async (): Promise<number> => {
  const text = await readFile(limitFile, 'utf8').catch(() => '')
  return Math.floor((Number.parseInt(text, 10) || defaultLimit) / routersOnNode) - ownFiles
}

/** One for the routes, and one for the pods of each revision by protocol, the shadow's included. */
export const filesOf = ({ revisions, mirror }: Setting): number =>
  1 + protocols.length * (revisions.length + (mirror === undefined ? 0 : 1))

/**
 * The same decisions, those that do not fit with a problem and with what they had before. What is applied goes first,
 * then the order by name. Pure.
 *
 * @param applied by uid
 */
export const withinBudget = (
  decisions: readonly Decision[],
  applied: ReadonlyMap<string, Setting>,
  budget: number,
): readonly Decision[] => {
  const heldBy = ({ asked, serve }: Decision): number => {
    const before = serve && applied.get(asked.uid)
    return before === undefined ? 0 : filesOf(before)
  }
  let used = decisions.reduce((sum, decision) => sum + heldBy(decision), 0)
  const order = decisions.toSorted((a, b) => Number(heldBy(b) > 0) - Number(heldBy(a) > 0))
  const fitted = new Map<Decision, Decision>()
  for (const decision of order) {
    const { asked, serve } = decision
    if (serve === undefined) continue
    const [held, needed] = [heldBy(decision), filesOf(serve)]
    if (needed <= held || used - held + needed <= budget) {
      used += needed - held
      continue
    }
    const before = applied.get(asked.uid)
    const problem =
      `Envoy can follow ${budget} files on this node, ${used} are in use, and this model needs ${needed - held} more; ` +
      `raise fs.inotify.max_user_instances on the nodes, or move models to another namespace`
    fitted.set(decision, { asked, problem, ...(before !== undefined && { serve: before }) })
  }
  return decisions.map((decision) => fitted.get(decision) ?? decision)
}
