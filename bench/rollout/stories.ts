// What users do with a ModelDeployment, one story a run. Each begins on a settled object and says on which version it must
// end, whatever happens meanwhile.
import type { ModelDeployment } from '../../operator/api/modeldeployment.ts'
import { conditionOf } from '../../test/kit/model.ts'
import { isSettledOn, type Scene } from './scene.ts'

export const storyNames = ['up', 'down', 'abort', 'supersede', 'promote', 'rollback'] as const
export type StoryName = (typeof storyNames)[number]

/** A story: what it did, and what the object must look like in the end. */
type Story = (scene: Scene, before: ModelDeployment, random: () => number) => Promise<Ending>

interface Ending {
  readonly version: string
  readonly claim: (object: ModelDeployment) => boolean
}

const endsOn = (version: string): Ending => ({ version, claim: isSettledOn(version) })

/** The candidate was taken back for good, and users are where they were. */
const takenBackTo = (version: string): Ending => ({
  version,
  claim: (object) => isSettledOn(version)(object) && conditionOf(object, 'Stalled')?.status === 'True',
})

const held = { steps: [{ weight: 20, minDuration: '1s', gate: 'Manual' as const }] }

/** Every version has a number of its own, so that none is asked for twice but on purpose. */
let count = 0
const nextVersion = (): string => `r${(count += 1)}`
const versionOf = (object: ModelDeployment): string => object.status?.stable?.version ?? ''
const candidateOf = ({ status }: ModelDeployment): string => status?.candidate?.revision ?? ''

const stories: Readonly<Record<StoryName, Story>> = {
  up: async ({ apply }) => {
    const version = nextVersion()
    await apply(version)
    return endsOn(version)
  },
  /** The spec goes back to the version before, warm or not. */
  down: async ({ apply, until }, before) => {
    const old = versionOf(before)
    const version = nextVersion()
    await apply(version)
    await until(`${version} is rolled out`, isSettledOn(version))
    await apply(old)
    return endsOn(old)
  },
  abort: async ({ apply, until, command }, before, random) => {
    const version = nextVersion()
    await apply(version, held)
    const states = ['Provisioning', 'Canary'] as const
    const wanted = states[Math.floor(random() * states.length)] ?? 'Canary'
    const at = await until(`${version} is in ${wanted}, or beyond`, ({ status }) => {
      const state = status?.candidate?.state
      return status?.candidate?.version === version && (state === wanted || state === 'Canary')
    })
    await command('abort', candidateOf(at))
    return takenBackTo(versionOf(before))
  },
  /** A third version is asked for while the second is on its way. */
  supersede: async ({ apply, until }, _before, random) => {
    const [dropped, version] = [nextVersion(), nextVersion()]
    await apply(dropped, held)
    const states = ['Pending', 'Provisioning', 'Canary'] as const
    const wanted = states.indexOf(states[Math.floor(random() * states.length)] ?? 'Canary')
    await until(`${dropped} is in ${states[wanted]}, or beyond`, ({ status, metadata }) => {
      const state = states.findIndex((name) => name === status?.candidate?.state)
      return status?.observedGeneration === metadata.generation && state >= wanted
    })
    await apply(version)
    return endsOn(version)
  },
  /** A person opens the gate. */
  promote: async ({ apply, until, command }) => {
    const version = nextVersion()
    await apply(version, held)
    const at = await until(`${version} waits at its gate`, ({ status }) => {
      return status?.candidate?.version === version && status.candidate.substep === 'Gate'
    })
    await command('promote', candidateOf(at))
    return endsOn(version)
  },
  /** A person takes users back from what has just been rolled out. */
  rollback: async ({ apply, until, command }, before) => {
    const version = nextVersion()
    await apply(version)
    const there = await until(`${version} is rolled out`, isSettledOn(version))
    await command('rollback', there.status?.stable?.revision ?? '')
    return takenBackTo(versionOf(before))
  },
}

/** Plays a story and waits for its end. @throws when the object does not settle where it must */
export const play = async (scene: Scene, name: StoryName, random: () => number): Promise<ModelDeployment> => {
  const before = await scene.until('the object is there', ({ status }) => status?.stable !== undefined)
  const { version, claim } = await stories[name](scene, before, random)
  return scene.until(`after "${name}" it is settled on ${version}`, claim)
}

/** The first version, from nothing. */
export const begin = async (scene: Scene): Promise<void> => {
  const version = nextVersion()
  await scene.apply(version)
  await scene.until(`${version} is rolled out`, isSettledOn(version))
}
