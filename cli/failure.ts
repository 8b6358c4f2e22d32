// How a command ends: the exit codes, once, and the error that says what was found and how to mend it.

/** What an exit code means; docs/cli.md lists the same. */
export const exitCodes = {
  /** Done, or settled and rolled out. */
  Done: 0,
  /** The cluster could not be asked, or an object is not there. */
  Failed: 1,
  /** The command line makes no sense. */
  Usage: 2,
  /** The command was refused, by the operator or because there is nothing to carry it out on. */
  Refused: 3,
  /** Nobody answered in time. */
  NoAnswer: 4,
  /** Settled, but what the spec asks for does not serve: rejected, stalled or held. */
  NotRolledOut: 5,
  /** `plan`: applying it would be refused, or would start nothing that can work. */
  WouldBeRefused: 6,
} as const

export type Ending = keyof typeof exitCodes

/** A failure that a person can do something about: one sentence what was found, one how to mend it. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly ending: Ending
  readonly fix: string

  constructor(ending: Ending, message: string, fix: string) {
    super(message)
    this.ending = ending
    this.fix = fix
  }
}
