// Waiting for what other processes do: as long as it takes, up to a bound, and then with the last thing seen.
import { setTimeout as sleep } from 'node:timers/promises'

/** The garbage collector alone takes 42 s to learn of a new kind, on a quiet machine. */
const mostMs = 150_000

/**
 * Asks until the answer is something else than undefined or false.
 * @param described what to print when it takes too long
 */
export const eventually = async <T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  described: () => unknown = () => '',
): Promise<T> => {
  const deadline = performance.now() + mostMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) {
      const seen = await described()
      throw new Error(
        `waited ${mostMs / 1000} s in vain until ${what}\n${typeof seen === 'string' ? seen : JSON.stringify(seen, null, 2)}`,
      )
    }
    await sleep(50)
  }
}
