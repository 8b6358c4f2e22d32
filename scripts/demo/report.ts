// What the demo prints: steps with their time, commands as a user would type them, tables as they came.

/** Prints a step, runs it, and prints how long it took. A failure says which step it was. */
export const step = async <T>(title: string, work: () => Promise<T>): Promise<T> => {
  console.log(`\n── ${title}`)
  const started = performance.now()
  try {
    const result = await work()
    console.log(`   done in ${seconds(performance.now() - started)}`)
    return result
  } catch (error) {
    console.log(`   failed after ${seconds(performance.now() - started)}`)
    throw error
  }
}

/** A command that the demo runs, as a user would type it. */
export const command = (line: string): void => console.log(`   $ ${line}`)

/** Output under a step, indented. */
export const show = (text: string): void => console.log(text.trimEnd().replaceAll(/^/gm, '     '))

const seconds = (ms: number): string => (ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`)
