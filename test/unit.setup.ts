// Before all unit tests: the runtime that they start, built once.
import { stageRuntime } from './fixtures/program.ts'

export default stageRuntime
