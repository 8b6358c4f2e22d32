// Before all e2e tests: the cluster, the images and the chart are there, so that a test file's own time is its own.
import { stageRuntime } from '../fixtures/program.ts'
import { openCluster } from '../kit/cluster.ts'
import { storeFiles } from '../kit/storefiles.ts'

const say = (line: string): void => {
  process.stderr.write(`   ${line}\n`)
}

export default async function setup(): Promise<void> {
  await stageRuntime()
  const cluster = await openCluster()
  const { files } = await storeFiles()
  await cluster.images(files, say)
}
