// `make demo` and `make demo-down`: a model on a real cluster, a new version, and back, printed as it goes.
import { demoDown } from './down.ts'
import { demoUp } from './up.ts'

const [what = 'up'] = process.argv.slice(2)
try {
  if (what === 'up') await demoUp()
  else if (what === 'down') await demoDown()
  else throw new Error(`"${what}" is neither up nor down`)
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
