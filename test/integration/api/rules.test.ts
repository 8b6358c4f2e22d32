// Every rule and bound of the ModelDeployment on a real API server: the bad example is refused with the fix in the
// message, the good one is accepted. Nothing is stored.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { modelDeploymentCrd } from '../../../operator/api/crds.ts'
import { rulesOf } from '../../../operator/api/structural.ts'
import { boundCases, ruleCases, type Case } from './cases.ts'
import { connect, createNamespace, installCrds, modelDeployment, pathOf, type Answer, type Server } from './server.ts'

let server: Server
let namespace: string

beforeAll(async () => {
  server = await connect()
  await installCrds(server)
  namespace = await createNamespace(server)
})

afterAll(async () => {
  await server.send('DELETE', `/api/v1/namespaces/${namespace}`)
  await server.close()
})

const dryRun = (name: string, spec: object): Promise<Answer> =>
  server.send('POST', `${pathOf(namespace, 'modeldeployments')}?dryRun=All&fieldValidation=Strict`, {
    body: modelDeployment(name, spec),
  })

/** Paths as the table writes them: indexes of items do not matter. */
const fieldOf = (field: string | undefined): string => (field ?? '').replaceAll(/\[\d+\]/g, '[]')

const describeCase = ({ field, says, bad, names }: Case): string => {
  const found = names === undefined ? JSON.stringify(bad).replaceAll('%', '%%') : names.bad
  return `${field}: ${says.replaceAll('%', '%%')} (${found})`
}

describe('a rule refuses its bad example and accepts its good one', () => {
  test.each(ruleCases.map((row) => [describeCase(row), row] as const))(
    '%s',
    async (_, { field, also, says, bad, good, names }) => {
      const refused = await dryRun(names?.bad ?? 'fraud', bad)
      expect(refused.status).toBe(422)
      const causes = (refused.body.details?.causes ?? []).map((cause) => ({
        field: fieldOf(cause.field),
        message: cause.message,
      }))
      expect(causes).toContainEqual({ field, message: expect.stringContaining(`: ${says}`) })
      // What is wrong is all that is said: no other field is complained about, and no rule failed to run.
      expect(causes.filter((cause) => cause.field !== field && cause.field !== also)).toEqual([])
      expect(refused.body.message).not.toContain('rule evaluation error')
      expect(await dryRun(names?.good ?? 'fraud', good)).toMatchObject({ status: 201 })
    },
  )

  test('every rule of the schema has a bad example', () => {
    const [version] = modelDeploymentCrd.spec.versions
    const rules = rulesOf(version?.schema.openAPIV3Schema ?? {})
    expect(rules.length).toBeGreaterThan(35)
    const without = rules.filter(
      ({ path, rule }) =>
        !ruleCases.some(
          ({ field, says }) => field === path + (rule.fieldPath?.slice(1) ?? '') && rule.message.startsWith(says),
        ),
    )
    expect(without.map(({ path, rule }) => `${path}: ${rule.message}`)).toEqual([])
  })
})

describe('a bound refuses its bad example and accepts its good one', () => {
  test.each(boundCases.map((row) => [describeCase(row), row] as const))('%s', async (_, { field, says, bad, good }) => {
    const refused = await dryRun('fraud', bad)
    expect(refused.status).toBe(422)
    expect(refused.body.details?.causes?.map((cause) => [fieldOf(cause.field), cause.message])).toContainEqual([
      field,
      expect.stringContaining(says),
    ])
    expect(await dryRun('fraud', good)).toMatchObject({ status: 201 })
  })
})

describe('nothing is silently ignored', () => {
  test.each([
    ['a misspelt field', { model: { uri: 'https://host/m.onnx' }, replica: 2 }, 'unknown field "spec.replica"'],
    [
      'a field in the wrong place',
      { model: { uri: 'https://host/m.onnx', replicas: 2 } },
      'unknown field "spec.model.replicas"',
    ],
    [
      'a field beside metadata and spec of a pod template',
      { model: { uri: 'https://host/m.onnx' }, podTemplate: { template: {} } },
      'unknown field "spec.podTemplate.template"',
    ],
  ])('%s is refused by name', async (_, spec, message) => {
    const refused = await dryRun('fraud', spec)
    expect(refused).toMatchObject({ status: 400, body: { message: expect.stringContaining(message) } })
  })
})
