// What the routers of a namespace need beside their Deployment, made and kept as it should be. Each is followed, so that what
// somebody edits or deletes is mended at once.
import type { Applier } from '../kube/apply.ts'
import type { KubeClient } from '../kube/client.ts'
import { isNotFound } from '../kube/errors.ts'
import { controllerOf } from '../kube/key.ts'
import {
  networkpolicies,
  poddisruptionbudgets,
  rolebindings,
  roles,
  serviceaccounts,
  services,
  type NetworkPolicy,
  type PodDisruptionBudget,
  type Role,
  type RoleBinding,
  type Service,
  type ServiceAccount,
} from '../kube/resources.ts'
import type { Store } from '../kube/store.ts'
import { routerChildren, type RouterOwner } from './desired.ts'
import { networkPolicies, policyNames, type NetworkRules } from './policies.ts'

export interface ChildCaches {
  readonly serviceAccounts: Store<ServiceAccount>
  readonly roles: Store<Role>
  readonly roleBindings: Store<RoleBinding>
  readonly services: Store<Service>
  readonly disruptionBudgets: Store<PodDisruptionBudget>
  readonly networkPolicies: Store<NetworkPolicy>
}

/** @throws NameConflictError when the name of one belongs to somebody else; StatusError and ConnectionError as the client does */
export const applyChildren = async (
  applier: Applier,
  caches: ChildCaches,
  owner: RouterOwner,
  signal: AbortSignal,
): Promise<void> => {
  const children = routerChildren(owner)
  const how = { why: 'the routers need it', signal }
  // First who they are and what they may see, then the rest.
  await applier.applyIfDifferent(serviceaccounts, caches.serviceAccounts, children.serviceAccount, how)
  await applier.applyIfDifferent(roles, caches.roles, children.role, how)
  await applier.applyIfDifferent(rolebindings, caches.roleBindings, children.roleBinding, how)
  await applier.applyIfDifferent(services, caches.services, children.service, how)
  await applier.applyIfDifferent(poddisruptionbudgets, caches.disruptionBudgets, children.disruptionBudget, how)
}

/**
 * Makes the NetworkPolicies, or takes them away where they are switched off.
 *
 * @throws NameConflictError when the name of one belongs to somebody else; StatusError and ConnectionError as the client does
 */
export const applyPolicies = async (
  { client, applier }: { readonly client: KubeClient; readonly applier: Applier },
  { networkPolicies: cache }: ChildCaches,
  owner: RouterOwner,
  rules: NetworkRules | undefined,
  signal: AbortSignal,
): Promise<void> => {
  const how = { why: 'only those who have to may reach the routers and the pods of models', signal }
  for (const policy of rules === undefined ? [] : networkPolicies(owner, rules)) {
    // oxlint-disable-next-line no-await-in-loop -- two of them
    await applier.applyIfDifferent(networkpolicies, cache, policy, how)
  }
  if (rules !== undefined) return
  for (const name of policyNames) {
    const policy = cache.get(owner.namespace, name)
    if (policy === undefined || controllerOf(policy)?.uid !== owner.uid) continue
    const { uid, resourceVersion } = policy.metadata
    try {
      // oxlint-disable-next-line no-await-in-loop -- two of them
      await client.delete(networkpolicies, owner.namespace, name, { uid, resourceVersion, signal })
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
  }
}
