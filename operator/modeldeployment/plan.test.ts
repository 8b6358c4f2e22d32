import { describe, expect, test } from '@jest/globals'
import type { ModelDeployment, ModelDeploymentStatus } from '../api/modeldeployment.ts'
import { directSpecOf } from '../api/fixtures.ts'
import { commandOf } from './command.ts'
import { deploymentOf, resolvedOf, revisionOf, seenOf } from './fixtures.ts'
import { plan, type Action, type Seen } from './plan.ts'

const now = Date.parse('2026-01-01T00:00:00Z')
const v1 = directSpecOf('https://models.example/1.onnx')
const v2 = directSpecOf('https://models.example/2.onnx')

const applied = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'apply' ? [`${a.object.kind} ${a.object.metadata.name}`] : []))
const deleted = (actions: readonly Action[]): string[] =>
  actions.flatMap((a) => (a.do === 'delete' ? [`${a.kind} ${a.name}`] : []))
const condition = (status: ModelDeploymentStatus, type: string) => status.conditions?.find((c) => c.type === type)

/** An object whose first version serves, settled. */
const settled = (spec = v1): Seen => {
  const first = deploymentOf(v1)
  const revision = revisionOf(first, 'v1')
  const { name } = revision.metadata
  const stable = { ...resolvedFacts(first), promotedAt: new Date(now).toISOString() }
  const seen = (deployment: ModelDeployment): Seen =>
    seenOf(
      deployment,
      {
        pods: [{ revision: name, total: 2, ready: 2, current: true }],
        service: { revision: name, readyEndpoints: { [name]: 2 } },
      },
      { revisions: [revision], deployments: [name] },
    )
  const { status } = plan(seen(deploymentOf(v1, { stable })), now)
  return seen(deploymentOf(spec, status))
}

const resolvedFacts = (deployment: ModelDeployment) => {
  const { revision, hash, version, digest, image } = resolvedOf(deployment, 'v1')
  return { revision, hash, version, digest, image }
}

const withStatus = (seen: Seen, status: ModelDeploymentStatus): Seen => ({
  ...seen,
  deployment: { ...seen.deployment, status },
})

describe('a plan', () => {
  test('of a new object first writes its candidate into the status, and then, from that status, asks for the resolve Job', () => {
    const seen = seenOf(deploymentOf(v1))
    const first = plan(seen, now)
    expect(first.status.candidate).toMatchObject({ state: 'Pending', attempt: 1 })
    expect(first.actions).toEqual([])
    const second = plan(withStatus(seen, first.status), now)
    expect(second.status).toEqual(first.status)
    expect(applied(second.actions)).toEqual([`Job ${first.status.candidate?.revision ?? ''}-resolve`])
  })

  test('of a settled object is the same status and the same children, whatever the time', () => {
    const seen = settled()
    for (const later of [0, 1000, 86_400_000]) {
      const { status, transitions, actions } = plan(seen, now + later)
      expect(status).toEqual(seen.deployment.status)
      expect(transitions).toEqual([])
      expect(applied(actions)).toEqual([
        `Deployment ${status.stable?.revision ?? ''}`,
        'Service fraud',
        'PodDisruptionBudget fraud-serving',
      ])
      expect(deleted(actions)).toEqual([])
    }
  })

  test('guards the pods that users are on against being drained all at once, where there is more than one', () => {
    const seen = settled()
    const guards = ({ actions }: ReturnType<typeof plan>): unknown[] =>
      actions.flatMap((a) => (a.do === 'apply' && a.object.kind === 'PodDisruptionBudget' ? [a.object.spec] : []))
    const revision = seen.deployment.status?.stable?.revision
    expect(guards(plan(seen, now))).toEqual([
      {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: { 'slipway.dev/model-deployment': 'fraud', 'slipway.dev/revision': revision } },
      },
    ])
    const { deployment } = seen
    const alone = { ...seen, deployment: { ...deployment, spec: { ...deployment.spec, replicas: 1 } } }
    expect(guards(plan(alone, now))).toEqual([])
  })

  test('keeps the Service on the serving revision until every pod of the new one is ready', () => {
    const seen = settled(v2)
    const started = plan(seen, now).status
    const { actions } = plan(withStatus(seen, started), now)
    const service = actions.find((a) => a.do === 'apply' && a.object.kind === 'Service')
    expect(service).toMatchObject({
      object: { spec: { selector: { 'slipway.dev/revision': seen.deployment.status?.stable?.revision } } },
    })
  })

  test('never deletes what the Service selects, even when no status refers to it', () => {
    const seen = settled()
    const stray = { ...seen, deployments: [...seen.deployments, 'fraud-other'] }
    expect(deleted(plan(stray, now).actions)).toEqual(['Deployment fraud-other'])
    const selected = {
      ...stray,
      observed: { ...stray.observed, service: { revision: 'fraud-other', readyEndpoints: {} } },
    }
    expect(deleted(plan(selected, now).actions)).toEqual([])
  })

  test('keeps revisions up to the limit, newest first, and those in use beyond it', () => {
    const seen = settled({ ...v1, revisionHistoryLimit: 1 })
    const old = [2, 3, 4].map((n) =>
      revisionOf(deploymentOf(directSpecOf(`https://models.example/${n}.onnx`)), `v${n}`, `2025-01-0${n}T00:00:00Z`),
    )
    const { actions } = plan({ ...seen, revisions: [...seen.revisions, ...old] }, now)
    expect(deleted(actions)).toEqual([old[1], old[0]].map((r) => `ModelRevision ${r?.metadata.name ?? ''}`))
  })

  test('of a suspended object does nothing at all', () => {
    const { actions, status } = plan(settled({ ...v2, suspend: true }), now)
    expect(actions).toEqual([])
    expect(status.phase).toBe('Suspended')
    expect(status.candidate).toBeUndefined()
  })

  test('of a spec that this release cannot honour says so and keeps serving', () => {
    const seen = settled(v2)
    const refused = {
      ...seen,
      observed: {
        ...seen.observed,
        refusal: { reason: 'NotImplemented', message: 'This release cannot do: x.' } as const,
      },
    }
    const { status, actions } = plan(refused, now)
    expect(condition(status, 'Stalled')).toMatchObject({ status: 'True', reason: 'NotImplemented' })
    expect(condition(status, 'Available')).toMatchObject({ status: 'True' })
    expect(status.candidate).toBeUndefined()
    expect(applied(actions)).toContain('Service fraud')
  })

  test('that waits for what an earlier object of its name left behind is under way, not stalled', () => {
    const seen = seenOf(deploymentOf(v1), { refusal: { reason: 'NameConflict', message: 'Job x.', passing: true } })
    const { status } = plan(seen, now)
    expect(condition(status, 'Stalled')?.status).toBe('False')
    expect(condition(status, 'Reconciling')).toMatchObject({
      status: 'True',
      reason: 'NameConflict',
      message: 'Job x.',
    })
    expect(status.candidate).toBeUndefined()
  })

  test('keeps the newest unused revisions, also when all were made within one second', () => {
    const seen = settled({ ...v1, revisionHistoryLimit: 1 })
    const old = ['9', '11', '10'].map((resourceVersion) => {
      const revision = revisionOf(
        deploymentOf(directSpecOf(`https://models.example/old-${resourceVersion}.onnx`)),
        'old',
      )
      return { ...revision, metadata: { ...revision.metadata, resourceVersion } }
    })
    const { actions } = plan({ ...seen, revisions: [...old, ...seen.revisions] }, now)
    const [nine, , ten] = old.map((r) => `ModelRevision ${r.metadata.name}`)
    expect(deleted(actions)).toEqual([ten, nine])
  })

  test('lets the Job of a resolved revision end by itself, and ends one that nobody waits for', () => {
    const seen = settled()
    const [kept] = seen.deployments
    const job = (revision: string) => ({ name: `${revision}-resolve`, revision, finished: false })
    const { actions } = plan({ ...seen, jobs: [job(kept ?? ''), job('fraud-superseded')] }, now)
    expect(deleted(actions)).toEqual(['Job fraud-superseded-resolve'])
  })

  test('takes away the Job of a candidate that was dropped, and keeps the log of one that was rejected', () => {
    const seen = settled()
    const job = (revision: string) => ({ name: `${revision}-resolve`, revision, finished: true })
    const rejected = [
      {
        hash: '0123456789',
        revision: 'fraud-rejected',
        attempt: 1,
        class: 'Invalid' as const,
        reason: 'ModelInvalid',
        message: 'x',
        retryToken: '',
        at: new Date(now).toISOString(),
      },
    ]
    const told = withStatus(seen, { ...seen.deployment.status, rejected })
    const { actions } = plan({ ...told, jobs: [job('fraud-superseded'), job('fraud-rejected')] }, now)
    expect(deleted(actions)).toEqual(['Job fraud-superseded-resolve'])
  })

  test('keeps the revision that the spec asks for beyond the limit, though it is not the candidate yet', () => {
    const paused = { ...v2.rollout, paused: true }
    const seen = settled({ ...v2, rollout: paused, revisionHistoryLimit: 0 })
    const asked = revisionOf(deploymentOf(v2), 'v2')
    const other = revisionOf(deploymentOf(directSpecOf('https://models.example/3.onnx')), 'v3')
    const { actions } = plan({ ...seen, revisions: [...seen.revisions, asked, other] }, now)
    expect(deleted(actions)).toEqual([`ModelRevision ${other.metadata.name}`])
  })

  test('of a version that may mend a crashing one goes on: what ails the serving pods is not held against it', () => {
    const crash = { reason: 'PodCrashed', message: 'Container runtime exited.', fatal: true } as const
    const old = settled(v2)
    const seen = { ...old, observed: { ...old.observed, servingTrouble: crash } }
    const started = plan(seen, now).status
    const { status, actions } = plan(withStatus(seen, started), now)
    expect(status.candidate).toMatchObject({ state: 'Pending' })
    expect(status.candidate?.reason).toBeUndefined()
    expect(applied(actions)).toContain(`Job ${status.candidate?.revision ?? ''}-resolve`)
  })

  test('of an object suspended in the middle stops the clock of its deadline', () => {
    const seen = settled(v2)
    const started = plan(seen, now).status
    const held = withStatus(settled({ ...v2, suspend: true }), started)
    const { status } = plan(held, now)
    expect(status.candidate).toMatchObject({ state: 'Pending', revision: started.candidate?.revision })
    const later = now + 86_400_000
    const resumed = plan(withStatus(seen, status), later).status
    expect(Date.parse(resumed.candidate?.deadlineAt ?? '')).toBeGreaterThan(later)
    expect(resumed.rejected ?? []).toEqual([])
  })

  test('leaves the Service on a candidate that it has reached when the spec is refused after that', () => {
    const seen = settled(v2)
    const { candidate } = plan(seen, now).status
    if (candidate === undefined) throw new Error('no candidate')
    const promoting = withStatus(seen, {
      ...seen.deployment.status,
      candidate: { ...candidate, state: 'Promoting', version: 'v2' },
    })
    const refusal = { reason: 'NotImplemented', message: 'x' } as const
    const selected = (revision: string): unknown => {
      const observed = { ...promoting.observed, refusal, service: { revision, readyEndpoints: {} } }
      const { actions } = plan({ ...promoting, observed }, now)
      return actions.flatMap((a) => (a.do === 'apply' && a.object.kind === 'Service' ? [a.object.spec] : []))
    }
    const stable = seen.deployment.status?.stable?.revision ?? ''
    expect(selected(candidate.revision)).toMatchObject([{ selector: { 'slipway.dev/revision': candidate.revision } }])
    expect(selected(stable)).toMatchObject([{ selector: { 'slipway.dev/revision': stable } }])
  })

  test('whose ModelRevision was deleted leaves its pods alone and says what to do', () => {
    const seen = settled()
    const { status, actions } = plan({ ...seen, revisions: [], observed: { ...seen.observed, revisions: [] } }, now)
    expect(condition(status, 'Stalled')).toMatchObject({ status: 'True', reason: 'RevisionMissing' })
    expect(deleted(actions)).toEqual([])
    expect(applied(actions)).toEqual(['Service fraud'])
  })
})

describe('conditions', () => {
  test('a new number of replicas is not Ready before its pods are, not even in the first status that knows of it', () => {
    const { status } = plan(settled({ ...v1, replicas: 5 }), now)
    expect(condition(status, 'Ready')).toMatchObject({ status: 'False', reason: 'Scaling' })
    expect(condition(status, 'Ready')?.message).toContain('has 2 of 5 pods ready')
    expect(condition(status, 'Available')?.status).toBe('True')
  })

  test('lastTransitionTime moves only when the status of a condition flips', () => {
    const seen = settled()
    const before = condition(seen.deployment.status ?? {}, 'Ready')
    const scaling = {
      ...seen,
      observed: { ...seen.observed, pods: seen.observed.pods.map((p) => ({ ...p, ready: 1 })) },
    }
    const { status } = plan(scaling, now + 60_000)
    expect(condition(status, 'Ready')).toMatchObject({
      status: 'False',
      lastTransitionTime: new Date(now + 60_000).toISOString(),
    })
    expect(condition(status, 'Available')?.lastTransitionTime).toBe(
      condition(seen.deployment.status ?? {}, 'Available')?.lastTransitionTime,
    )
    const { status: back } = plan(withStatus(seen, status), now + 120_000)
    expect(condition(back, 'Ready')).toMatchObject({ status: 'True', message: before?.message })
  })

  test('a rejection says how the same spec is tried again, where mending it needs no other spec', () => {
    const seen = settled(v2)
    const { target } = seen.observed
    if (target.kind !== 'Revision') throw new Error('no target')
    const { hash, revision } = target
    const told = (reason: string): string | undefined => {
      const at = new Date(now).toISOString()
      const rejected = [
        { hash, revision, attempt: 1, class: 'Infra' as const, reason, message: 'No node.', retryToken: '', at },
      ]
      const { status } = plan(withStatus(seen, { ...seen.deployment.status, rejected }), now)
      return condition(status, 'Stalled')?.message
    }
    expect(told('Unschedulable')).toContain('change spec.rollout.retryToken to try the same spec again')
    expect(told('ModelInvalid')).not.toContain('retryToken')
  })

  test('a candidate that waits for room is Stalled with the numbers, and users are served on', () => {
    const seen = settled(v2)
    const { target } = seen.observed
    if (target.kind !== 'Revision') throw new Error('no target')
    const message = '1 pod waits for room and asks for 1 cpu. Free: node-1 0.5 of 2 cpu.'
    const trouble = { reason: 'InsufficientCapacity', message, fatal: false } as const
    const candidate = {
      revision: target.revision,
      hash: target.hash,
      attempt: 1,
      state: 'Provisioning' as const,
      enteredAt: new Date(now).toISOString(),
    }
    const facts = { name: target.revision, hash: target.hash, version: 'v2', digest: 'sha256:2', image: 'x' }
    const observed = { ...seen.observed, trouble, revisions: [facts, ...seen.observed.revisions] }
    const { status } = plan(
      withStatus({ ...seen, observed }, { ...seen.deployment.status, candidate }),
      now + 86_400_000,
    )
    expect(condition(status, 'Stalled')).toMatchObject({ status: 'True', reason: 'InsufficientCapacity' })
    expect(condition(status, 'Stalled')?.message).toContain(message)
    expect(condition(status, 'Reconciling')?.status).toBe('False')
    expect(condition(status, 'Available')?.status).toBe('True')
    expect(status.candidate?.deadlineAt).toBeUndefined()
  })

  test('Ready, Reconciling and Stalled never claim two things at once', () => {
    const seen = settled(v2)
    const candidates = [
      seen,
      { ...seen, observed: { ...seen.observed, refusal: { reason: 'NameConflict', message: 'x' } as const } },
      settled(),
    ]
    for (const each of candidates) {
      const { status } = plan(each, now)
      expect(
        ['Ready', 'Reconciling', 'Stalled'].filter((type) => condition(status, type)?.status === 'True'),
      ).toHaveLength(1)
    }
  })

  test('Available holds while the Service moves and its endpoints are still those of the old revision', () => {
    const seen = settled(v2)
    const old = seen.deployment.status?.stable?.revision ?? ''
    const moving = {
      ...seen,
      observed: { ...seen.observed, service: { revision: 'fraud-next', readyEndpoints: { [old]: 2 } } },
    }
    expect(condition(plan(moving, now).status, 'Available')?.status).toBe('True')
    const nobody = {
      ...moving,
      observed: { ...moving.observed, service: { revision: 'fraud-next', readyEndpoints: {} } },
    }
    expect(condition(plan(nobody, now).status, 'Available')?.status).toBe('False')
  })

  /** With a command on the object, as observe.ts reads it. */
  const ordered = (seen: Seen, command: object): Seen => {
    const annotations = { 'slipway.dev/command': JSON.stringify(command) }
    const deployment = { ...seen.deployment, metadata: { ...seen.deployment.metadata, annotations } }
    const read = commandOf(deployment)
    return { ...seen, deployment, observed: { ...seen.observed, ...(read && { command: read }) } }
  }

  test('a command whose id is half a character is answered in text that the API server keeps as it is', () => {
    const seen = settled()
    for (const id of ['\ud83d', `${'x'.repeat(127)}😀`]) {
      const { status } = plan(ordered(seen, { id, op: 'promote' }), now)
      expect(status.lastCommand?.id.isWellFormed()).toBe(true)
    }
  })

  test('a command is answered once, with what to do instead', () => {
    const seen = settled()
    const asked = ordered(seen, { id: '1', op: 'rollback', candidate: seen.deployment.status?.stable?.revision ?? '' })
    const { status } = plan(asked, now)
    expect(status.lastCommand).toMatchObject({
      id: '1',
      op: 'rollback',
      result: 'Refused',
      message: expect.stringContaining('spec.rollback.to'),
    })
    const answered = { ...asked, deployment: { ...asked.deployment, status } }
    expect(plan(answered, now + 60_000).status).toEqual(status)
  })
})
