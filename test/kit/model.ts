// ModelDeployments as a test or the demo handles them: applied by kubectl, read back as JSON, waited for in words.
import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import type { Shell } from './shell.ts'

/** A spec as a user writes it: without the defaults that the API server fills in. */
export type WrittenSpec = Record<string, unknown>

export const manifestOf = (namespace: string, name: string, spec: WrittenSpec): string =>
  JSON.stringify({ apiVersion: 'slipway.dev/v1alpha1', kind: 'ModelDeployment', metadata: { name, namespace }, spec })

/** Without routers and steps: for tests of what goes on behind the address, which need neither and save their time. */
export const directly = ({ rollout = {}, ...spec }: WrittenSpec & { readonly rollout?: object }): WrittenSpec => ({
  traffic: { mode: 'Direct' },
  ...spec,
  rollout: { strategy: 'BlueGreen', ...rollout },
})

/** kubectl apply of a whole ModelDeployment. */
export const applyModel = (shell: Shell, namespace: string, name: string, spec: WrittenSpec): Promise<string> =>
  shell.kubectl(['apply', '-f', '-'], manifestOf(namespace, name, spec))

export const getModel = (shell: Shell, namespace: string, name: string): Promise<ModelDeployment> =>
  shell.json<ModelDeployment>(['get', 'modeldeployments.slipway.dev', name, '-n', namespace])

export const conditionOf = (model: ModelDeployment, type: string) =>
  model.status?.conditions?.find((c) => c.type === type)

/** Ready, for the generation that was applied last. */
export const isReady = (model: ModelDeployment): boolean =>
  model.status?.observedGeneration === model.metadata.generation && conditionOf(model, 'Ready')?.status === 'True'

/** Ready with this version serving. */
export const serves =
  (version: string) =>
  (model: ModelDeployment): boolean =>
    isReady(model) && model.status?.stable?.version === version

/** The reason of Ready, Stalled or Reconciling is this one, for the generation that was applied last. */
export const says =
  (reason: string) =>
  (model: ModelDeployment): boolean =>
    model.status?.observedGeneration === model.metadata.generation && conditionOf(model, 'Ready')?.reason === reason

/**
 * Looks until the claim holds, and gives the object as it was then.
 *
 * @throws with the object's conditions and the namespace's pods and events when it does not hold in time
 */
export const waitForModel = async (
  shell: Shell,
  namespace: string,
  name: string,
  what: string,
  claim: (model: ModelDeployment) => boolean,
  timeoutMs = 180_000,
): Promise<ModelDeployment> => {
  let model = await getModel(shell, namespace, name)
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(250)) {
    model = await getModel(shell, namespace, name)
    if (claim(model)) return model
  }
  throw new Error(
    `${name} did not become "${what}" within ${timeoutMs / 1000} s.\n${await picture(shell, namespace, model)}`,
  )
}

/** The one that leads, and the one that stands by. */
const operators = 'app.kubernetes.io/component=operator'

/** What the cluster looks like around an object, for a person who reads a failed test. */
const picture = async (shell: Shell, namespace: string, model: ModelDeployment): Promise<string> => {
  const parts = await Promise.all([
    shell.kubectl(['get', 'mdep,mrev,deployments,jobs,pods,services', '-n', namespace, '-o', 'wide']),
    shell.kubectl(['get', 'events', '-n', namespace, '--sort-by=.lastTimestamp']),
    shell
      .kubectl(['logs', '-n', 'slipway-system', '-l', operators, '--prefix', '--tail=40', '--ignore-errors'])
      .catch(String),
  ])
  return [JSON.stringify(model.status, null, 2), ...parts].join('\n\n')
}
